"""What the tests of optimisers share."""

import pytest

from tf_interformer._keras import LEGACY, keras


@pytest.fixture
def float16():
    before = keras.mixed_precision.global_policy() if LEGACY else keras.config.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy(before)
