"""What must be kept from being imported before PyTorch and FuxiCTR can stand in one process with TensorFlow."""

import sys
import types


def without_triton() -> None:
    """Call it before `import torch`."""
    # Its LLVM and TensorFlow's do not go together in one process; on a processor PyTorch compiles without it.
    sys.modules["triton"] = None  # type: ignore[assignment]


def without_ray() -> None:
    """Call it before FuxiCTR is imported."""
    # It imports Ray, which is large, to prepare data in files; nothing here does.
    unused = "fuxictr.preprocess.build_dataset"
    sys.modules[unused] = types.ModuleType(unused)
