"""Inputs, and the contract, that the tests of the backbones share."""

import numpy as np

from tests.layer_case import (
    assert_config_round_trip,
    assert_every_weight_learns,
    assert_half_precision,
    assert_no_leak_across_the_batch,
    scramble,
    tensors,
)
from tf_interformer._tensorflow import tf

LENGTHS = {"a": np.array([6, 2, 0, 0], "int32"), "b": np.array([3, 4, 1, 0], "int32")}


def batch(size=4, tokens=5, width=8, seed=0, times=(6, 4), events=(16, 8), lengths=None, dtype="float32"):
    """Two sequences of different length and width; lengths full, short, one and empty."""
    rng = np.random.default_rng(seed)
    names = ["a", "b"][: len(times)]
    return {
        "features": rng.normal(size=(size, tokens, width)).astype(dtype),
        "sequences": {
            name: rng.normal(size=(size, time, event)).astype(dtype)
            for name, time, event in zip(names, times, events, strict=True)
        },
        "lengths": lengths
        or {
            name: (
                LENGTHS[name] if size == 4 and time == {"a": 6, "b": 4}[name] else rng.integers(0, time + 1, size)
            ).astype("int32")
            for name, time in zip(names, times, strict=True)
        },
    }


def with_garbage(inputs, seed=1, scale=1e4):
    """The same histories with large random values at every padded position."""
    rng = np.random.default_rng(seed)
    sequences = {}
    for name, sequence in inputs["sequences"].items():
        padded = np.arange(sequence.shape[1]) >= inputs["lengths"][name][:, None]
        garbage = scale * rng.normal(size=sequence.shape)
        sequences[name] = np.where(padded[:, :, None], garbage, sequence).astype(sequence.dtype)
    return {**inputs, "sequences": sequences}


def check_backbone(make, inputs):
    """The contract of a backbone that `make(**kwargs)` makes anew."""
    layer = make()
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    shapes = tf.nest.map_structure(lambda x: (None, *x.shape[1:]), inputs)
    assert layer.compute_output_shape(shapes)["label"] == (None, layer(tensors(inputs))["label"].shape[1])
    assert_config_round_trip(layer, inputs)
    assert_no_leak_across_the_batch(layer, inputs)
    assert_every_weight_learns(layer, inputs)
    assert_half_precision(make, inputs)
