"""Score a request with an exported model, as a server would.

tf-interformer score runs/demo/saved_model/1 runs/demo/example_request.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.plain_path import plain_path
from serving.request import RequestError, parse_request
from tf_interformer._tensorflow import tf
from tf_interformer.command import command_parser, run_command
from tf_interformer.schema import FeatureSchema


def score(model: str, request: str) -> dict[str, np.ndarray]:
    """Outputs of the model's `serving_default` signature, by name.

    Args:
        model: Folder of an exported version.
        request: File with the request.

    Raises:
        RequestError: No such model or file, or the request does not fit.
    """
    folder = Path(model)
    if not (folder / "saved_model.pb").is_file():
        raise RequestError(f"{folder} holds no exported model: saved_model.pb does not exist")
    schema = FeatureSchema.from_json(folder / "assets.extra" / "schema.json")
    try:
        text = Path(request).read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read the request {request}: {error.strerror}") from None
    raw = parse_request(schema, text)
    with plain_path(folder) as path:
        signature = tf.saved_model.load(path).signatures["serving_default"]
    try:
        outputs = signature(**{asked.name: tf.constant(raw[name]) for name, asked in schema.signature().items()})
    except tf.errors.InvalidArgumentError as error:
        reason = next((line for line in error.message.splitlines() if "assertion failed" in line), error.message)
        raise RequestError(f"the request does not fit the model: {reason.strip()}") from None
    return {name: value.numpy()[:, 0] for name, value in sorted(outputs.items())}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("score", __doc__)
    parser.add_argument("model", metavar="MODEL", help="folder of an exported version, as RUN/saved_model/1")
    parser.add_argument("request", metavar="REQUEST", help="JSON file, as RUN/example_request.json")
    given = parser.parse_args(arguments)

    def show() -> None:
        for name, values in score(given.model, given.request).items():
            print(f"{name}: {', '.join(f'{value:.6f}' for value in values)}")

    return run_command(show)


if __name__ == "__main__":
    sys.exit(main())
