"""The programs of `tf-interformer`: by their names, so that nothing of them is imported before it is asked for."""

from typing import NamedTuple


class Program(NamedTuple):
    """A program.

    Attributes:
        module: Module whose `main` it is; `python -m` starts it as well.
        extras: What it needs installed beside the library, as in `tf_interformer[pipelines]`.
        summary: What it does.

    Example:

    >>> PROGRAMS["train"].module
    'pipelines.train'
    """

    module: str
    extras: str
    summary: str


PROGRAMS = {
    "schema": Program(
        "pipelines.own_log.__main__", "pipelines", "propose the schema of a log, and split the log by it"
    ),
    "prepare": Program("pipelines.prepare", "pipelines", "write a data set as plain TFRecord or Parquet files"),
    "train": Program("pipelines.train", "pipelines", "train a ranker on a click log, judge it and export it"),
    "evaluate": Program("pipelines.evaluate", "pipelines", "measure a finished run again"),
    "ablate": Program("pipelines.ablate", "pipelines", "train variants of a configuration with several seeds"),
    "compare": Program("pipelines.compare.__main__", "pipelines,report", "compare models under one protocol"),
    "compress": Program("pipelines.compress", "pipelines", "bring the Hiformer of a finished run to low rank"),
    "best-possible": Program(
        "pipelines.datasets.synthetic_clicks.__main__", "pipelines", "what no model can beat on the simulated log"
    ),
    "export": Program("serving.export", "serving", "export a finished run as a SavedModel"),
    "onnx": Program("serving.onnx", "serving,onnx", "convert a finished run to ONNX"),
    "agreement": Program("serving.agreement", "pipelines,serving,onnx", "whether all ways to serve a run score alike"),
    "serve": Program("serving.serve", "serving", "serve exported models by TensorFlow Serving's gRPC and REST API"),
    "score": Program("serving.score", "serving", "score a request with an exported model"),
    "rank": Program("serving.rank", "serving", "rank candidates for a user with a served model"),
    "page": Program("serving.page.__main__", "pipelines,serving", "show on a web page what a trained ranker does"),
}
