"""Asks for what needs TensorFlow, and prints what each says: `python -m tests.backends.run_refused FOLDER`."""

import sys
from collections.abc import Callable

import tf_interformer
from tests.small_log import learned_schema, raw_batch
from tf_interformer import diagnostics

ranker = tf_interformer.Ranker(learned_schema(), "fm", embedding={"dim": 4}, tower_units=(4,))
ASKED: list[Callable[[], object]] = [
    lambda: tf_interformer.Preprocessor,
    lambda: ranker.score(raw_batch(4)),
    lambda: ranker.export(sys.argv[1]),
    lambda: ranker.schema.parsing_spec(),
    lambda: diagnostics.multiplications(abs),
]
for ask in ASKED:
    try:
        print(ask())
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
