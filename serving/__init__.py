"""Programs that serve a model, and those that ask it."""

import sys

from tf_interformer._quiet_start import import_tensorflow

# So far into a start, `sys.argv` says `-m`. What imports a client or an encoder needs no TensorFlow.
if sys.argv[:1] == ["-m"] and any(argument.startswith("serving.") for argument in sys.orig_argv):
    import_tensorflow()
