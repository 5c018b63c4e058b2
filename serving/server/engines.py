"""What may compute the scores, by name."""

from collections.abc import Callable
from pathlib import Path

from serving.onnx import require_packages
from serving.server.model import LoadedModel
from serving.server.onnx_model import OnnxModel
from serving.server.options import Engine
from serving.server.tensorflow_model import TensorFlowModel


def loader(engine: Engine) -> Callable[[Path], LoadedModel]:
    """What loads the version in a folder.

    Args:
        engine: Name of the engine.

    Raises:
        UserError: It is not installed.
    """
    if engine == "tensorflow":
        return TensorFlowModel
    require_packages("onnxruntime")
    return OnnxModel
