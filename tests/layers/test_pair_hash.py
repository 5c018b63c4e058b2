"""The hash of pairs of ids: everywhere the same, and spread evenly."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import tensors
from tests.reference.dual_enhanced_attention import pair_row
from tf_interformer.layers._pair_hash import P, PairHash

FIRST = np.array([0, 0, 0, 1, 1, 2])
SECOND = np.array([0, 1, 2, 1, 2, 2])
IDS = np.array([[1, 2, 3], [P - 1, P, P + 1], [2**31 - 1, P * P, 0], [5, 70_000, 2_000_000]], "int32")


def rows(ids, codebooks=2, size=1000, first=FIRST, second=SECOND):
    return PairHash(np.array(first), np.array(second), codebooks, size)(tensors(ids))


def naive(ids, codebooks=2, size=1000):
    return [
        [
            [m * size + pair_row(i, int(example[i]), j, int(example[j]), m, size) for m in range(codebooks)]
            for i, j in zip(FIRST, SECOND, strict=True)
        ]
        for example in ids
    ]


def test_arithmetic_never_leaves_int32():
    assert (P - 1) ** 2 + 2 * (P - 1) < 2**31
    assert all(P % k for k in range(2, 216)) and (P - 1) % 3


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000, 2**30 - 1])
def test_equals_python_integers_in_every_mode(size):
    expected = np.array(naive(IDS, 1 if size > 2**29 else 2, size))
    hashed = PairHash(FIRST, SECOND, expected.shape[-1], size)
    np.testing.assert_array_equal(hashed(tf.constant(IDS)), expected)
    for jit in (False, True):
        compiled = tf.function(lambda x: hashed(x), jit_compile=jit, autograph=False)
        np.testing.assert_array_equal(compiled(tf.constant(IDS)), expected)


def test_equals_itself_in_a_saved_model(tmp_path):
    module = tf.Module()
    hashed = PairHash(FIRST, SECOND, 2, 1000)
    module.rows = tf.function(lambda x: hashed(x), input_signature=[tf.TensorSpec((None, 3), "int32")])
    tf.saved_model.save(module, str(tmp_path))
    np.testing.assert_array_equal(tf.saved_model.load(str(tmp_path)).rows(IDS), naive(IDS))


def test_never_changes():
    """Tables are trained by these rows: another version of the package must find them again."""
    np.testing.assert_array_equal(rows(IDS)[0, :, 0], [531, 220, 232, 709, 262, 339])
    np.testing.assert_array_equal(rows(IDS)[3, :, 1], [1945, 1592, 1331, 1895, 1681, 1000])


def chi_squared(values, size):
    """The statistic minus its mean, in standard deviations of it."""
    counts = np.bincount(np.asarray(values).reshape(-1), minlength=size)
    assert counts.size == size
    expected = counts.sum() / size
    return (np.sum((counts - expected) ** 2) / expected - (size - 1)) / np.sqrt(2 * (size - 1))


SIZES = [997, 1000, 1024]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codebook", [0, 1, 2])
def test_sequential_and_random_ids_spread_evenly(size, codebook):
    grid = np.stack(np.meshgrid(np.arange(2, 302), np.arange(2, 302)), -1).reshape(-1, 2)
    random = np.random.default_rng(0).integers(2, 2**31 - 1, (90_000, 2))
    column = np.stack([np.full(90_000, 3), np.arange(2, 90_002)], -1)
    # An affine hash would come out far *too* even.
    for ids in (grid, random, column):
        found = np.asarray(rows(ids.astype("int32"), 3, size, [0], [1]))[:, 0, codebook] - codebook * size
        assert abs(chi_squared(found, size)) < 5


@pytest.mark.parametrize("size", SIZES)
def test_field_pairs_spread_evenly(size):
    first, second = np.triu_indices(60)
    found = rows(np.tile(np.arange(2, 62)[:, None], (1, 60)).astype("int32"), 2, size, first, second)
    for m in range(2):
        assert abs(chi_squared(np.asarray(found)[..., m] - m * size, size)) < 5


def test_codebooks_are_independent():
    """Of the pairs that share a row of one codebook, no more share one of the other than by chance."""
    ids = np.stack(np.meshgrid(np.arange(2, 302), np.arange(2, 302)), -1).reshape(-1, 2).astype("int32")
    found = np.asarray(rows(ids, 2, 100, [0], [1]))[:, 0] - [0, 100]
    assert abs(chi_squared(found[:, 0] * 100 + found[:, 1], 10_000)) < 5


def test_order_of_fields_and_ids_matters():
    one = np.array([[5, 9]], "int32")
    assert rows(one, size=10**6, first=[0], second=[1]).numpy().tolist() != (
        rows(one[:, ::-1], size=10**6, first=[0], second=[1]).numpy().tolist()
    )
