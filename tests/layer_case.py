"""The contract that every layer keeps, checked by one function.

`check_layer(make, inputs)` calls `make(**kwargs)` for a fresh layer and feeds it `inputs`, a nest of NumPy arrays
whose first axis is the batch.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tf_interformer._keras import LEGACY, keras
from tf_interformer._tensorflow import tf

Make = Callable[..., Any]


def flat(nest: Any) -> list[Any]:
    return tf.nest.flatten(nest)


def tensors(nest: Any) -> Any:
    return tf.nest.map_structure(tf.constant, nest)


def shapes(nest: Any) -> Any:
    return tf.nest.map_structure(lambda x: tuple(x.shape), nest)


def arrays(nest: Any) -> list[np.ndarray]:
    """The flat outputs as float64 arrays."""
    return [tf.cast(x, "float64").numpy() for x in flat(nest)]


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-5, what: str = "") -> None:
    for a, e in zip(arrays(actual), arrays(expected), strict=True):
        scale = max(1.0, float(np.abs(e).max(initial=0.0)))
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def scramble(layer: Any, seed: int = 0, scale: float = 0.3) -> None:
    """Moves every trained weight off its initial value, so that no zero bias or unit gain hides anything."""
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(weight + tf.constant(rng.normal(0.0, scale, tuple(weight.shape)), weight.dtype))


def gradients(layer: Any, inputs: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """The gradients of a random weighted sum of the squared outputs, by weight."""
    rng = np.random.default_rng(seed)
    weights = list(layer.trainable_weights)
    variables = [w if LEGACY else w.value for w in weights]
    with tf.GradientTape() as tape:
        outputs = [tf.cast(y, "float64") for y in flat(layer(tensors(inputs)))]
        loss = tf.add_n([tf.reduce_sum((y + 0.1 * y * y) * rng.normal(size=y.shape)) for y in outputs])
    names = [w.name if LEGACY else w.path for w in weights]
    found = tape.gradient(loss, variables)
    missing = [name for name, gradient in zip(names, found, strict=True) if gradient is None]
    assert not missing, f"no gradient at all: {missing}"
    return {
        f"{i}:{name}": tf.convert_to_tensor(gradient).numpy()
        for i, (name, gradient) in enumerate(zip(names, found, strict=True))
    }


def assert_every_weight_learns(layer: Any, inputs: Any, least: float = 1e-9) -> None:
    found = gradients(layer, inputs)
    dead = [name for name, gradient in found.items() if not np.abs(gradient).max() > least]
    assert not dead, f"zero gradient: {dead}"
    bad = [name for name, gradient in found.items() if not np.isfinite(gradient).all()]
    assert not bad, f"gradient not finite: {bad}"


def assert_config_round_trip(layer: Any, inputs: Any) -> None:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    clone = keras.saving.deserialize_keras_object(config)
    assert type(clone) is type(layer)
    clone(tensors(inputs))
    assert [tuple(w.shape) for w in clone.weights] == [tuple(w.shape) for w in layer.weights]
    clone.set_weights(layer.get_weights())
    assert_close(clone(tensors(inputs)), layer(tensors(inputs)), 1e-6, "a copy from the config")


def assert_graph_and_xla(layer: Any, inputs: Any, xla: bool = True) -> None:
    expected = layer(tensors(inputs))
    graph = tf.function(lambda x: layer(x), autograph=False)
    assert_close(graph(tensors(inputs)), expected, 1e-4, "graph")
    if xla and not LEGACY:  # XLA sees operations, which are the same
        compiled = tf.function(lambda x: graph(x), jit_compile=True, autograph=False)  # which traces nothing anew
        assert_close(compiled(tensors(inputs)), expected, 1e-4, "XLA")


def assert_half_precision(make: Make, inputs: Any, policy: str = "mixed_bfloat16") -> None:
    layer = make(dtype=policy)
    dtype = policy.removeprefix("mixed_")
    for y in flat(layer(tensors(inputs))):
        assert y.dtype.is_integer or y.dtype.name == dtype, y.dtype
        assert np.isfinite(tf.cast(y, "float32").numpy()).all()
    assert {w.dtype if isinstance(w.dtype, str) else w.dtype.name for w in layer.trainable_weights} <= {"float32"}


def placeholders(nest: Any, name: str = "x") -> Any:
    """Keras inputs for a nest of arrays, named after their keys."""
    if isinstance(nest, dict):
        prefix = "" if name == "x" else f"{name}_"
        return {key: placeholders(value, prefix + key) for key, value in nest.items()}
    return keras.Input(shape=nest.shape[1:], dtype=nest.dtype.name, name=name)


def functional(layer: Any, inputs: Any) -> Any:
    """A model around the layer. Its inputs are a flat list: tf_keras confuses itself over some nested ones."""
    nest = placeholders(inputs)
    return keras.Model(flat(nest), layer(nest))


def assert_saves(make: Make, inputs: Any) -> None:
    layer = make()
    model = functional(layer, inputs)
    scramble(layer)
    values = flat(tensors(inputs))
    expected = model(values)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.keras")
        model.save(path)
        loaded = keras.models.load_model(path)
        assert_close(loaded(values), expected, 1e-6, ".keras")

        path = str(Path(folder) / "saved_model")
        archive = keras.export.ExportArchive()
        archive.track(model)
        signature = [tf.TensorSpec((None, *x.shape[1:]), x.dtype) for x in values]
        archive.add_endpoint("serve", lambda x: model(x), input_signature=[signature])
        if LEGACY:
            archive.write_out(path)
        else:
            archive.write_out(path, verbose=False)
        served = tf.saved_model.load(path)
        assert_close(served.serve(values), expected, 1e-5, "SavedModel")


def assert_no_leak_across_the_batch(layer: Any, inputs: Any) -> None:
    size = flat(inputs)[0].shape[0]
    order = np.arange(size)[::-1]
    swapped = layer(tensors(tf.nest.map_structure(lambda x: x[order], inputs)))
    expected = tf.nest.map_structure(lambda y: tf.gather(y, order), layer(tensors(inputs)))
    # A processor may add up another row of a batch in another order.
    assert_close(swapped, expected, 1e-4, "swapped examples")
    alone = layer(tensors(tf.nest.map_structure(lambda x: x[:1], inputs)))
    expected = tf.nest.map_structure(lambda y: y[:1], layer(tensors(inputs)))
    assert_close(alone, expected, 1e-4, "a batch of one")


def check_layer(make: Make, inputs: Any, saves: bool = True, xla: bool = True) -> Any:
    """Checks the whole contract and returns a layer with scrambled weights."""
    layer = make()
    expected_shapes = layer.compute_output_shape(shapes(inputs))
    outputs = layer(tensors(inputs))
    assert [tuple(s) for s in _flat_shapes(expected_shapes)] == [tuple(y.shape) for y in flat(outputs)]
    for y in flat(outputs):
        assert y.dtype.is_integer or y.dtype.name == "float32", y.dtype
    scramble(layer)
    assert_config_round_trip(layer, inputs)
    assert_no_leak_across_the_batch(layer, inputs)
    assert_every_weight_learns(layer, inputs)
    assert_half_precision(make, inputs)
    if xla:
        assert_graph_and_xla(layer, inputs)
    if saves:
        assert_saves(make, inputs)
    return layer


def _flat_shapes(nest: Any) -> list[Any]:
    if isinstance(nest, dict):
        return [shape for key in sorted(nest) for shape in _flat_shapes(nest[key])]
    return [nest]
