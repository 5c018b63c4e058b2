"""`python -m tf_interformer` is `tf-interformer`."""

import sys

from tf_interformer.command.main import main

if __name__ == "__main__":
    sys.exit(main())
