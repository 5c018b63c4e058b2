"""This package on Keras's JAX backend, beside what the device reaches by itself."""

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import standard_work
from benchmarks.gpu import models
from benchmarks.gpu.cases import DTYPES, Case
from benchmarks.gpu.work import bytes_of, multiplications
from tf_interformer._keras import keras

Facts = dict[str, Any]
Run = Callable[[int], None]
wait: Any = jax.block_until_ready


class JaxSide:
    """Makes and runs cases.

    Args:
        small: Whether the products and copies are small, too.

    Attributes:
        runs: Name -> function that does something so many times and waits for the last.
    """

    def __init__(self, small: bool) -> None:
        self.runs: dict[str, Run] = {}
        side, count = (256, 2**16) if small else (8192, 2**28)
        keys = jax.random.split(jax.random.key(0), 3)
        self.facts: Facts = {
            "device": jax.devices()[0].device_kind,
            "matrix_flop": 2 * side**3,
            "copy_bytes": 2 * 4 * count,
            "error_of_float32_product": self._error(),
        }
        for dtype in DTYPES:
            a, b = (jax.random.normal(key, (side, side), dtype) for key in keys[:2])
            self._add(f"matrix {dtype}", jax.jit(jnp.matmul), [(a, b), (b, a)])
        # Negated, for a plain copy may be done away with.
        self._add("copy", jax.jit(jnp.negative), [(jax.random.normal(keys[2], (count,)),)])

    @staticmethod
    def _error() -> float:
        """Of float32 products, relative: near 3e-4 they are made of TF32."""
        a = np.random.default_rng(0).normal(size=(512, 512)).astype("float32")
        exact = a.astype("float64") @ a
        made = np.asarray(jax.jit(jnp.matmul)(a, a))
        return float(np.linalg.norm(made - exact) / np.linalg.norm(exact))

    def make(self, case: Case) -> dict[str, Facts]:
        """Compile a case; returns facts by peer."""
        return {"ours": self._model(case) if case.what == "train" else self._layer(case)}

    def drop(self) -> None:
        self.runs.pop("ours", None)

    def _add(self, name: str, function: Any, arguments: list[tuple[Any, ...]]) -> Facts:
        compiled, facts = _compiled(function, arguments[0])
        turns = itertools.cycle(arguments)

        def run(count: int) -> None:
            for _ in range(count):
                made = compiled(*next(turns))
            wait(made)

        self.runs[name] = run
        return facts

    def _layer(self, case: Case) -> Facts:
        layer, shapes = _built(models.layer, case)
        weights, others = _values(layer.trainable_variables), _values(layer.non_trainable_variables)

        def forward(weights: Any, inputs: Any) -> Any:
            return layer.stateless_call(weights, others, inputs)[0]

        def loss(weights: Any, inputs: Any) -> Any:
            return sum(jnp.sum(jnp.square(y.astype("float32"))) for y in jax.tree.leaves(forward(weights, inputs)))

        def gradient(weights: Any, inputs: Any) -> Any:
            return jax.value_and_grad(loss, argnums=(0, 1), allow_int=True)(weights, inputs)

        def inputs(seed: int) -> Any:
            if isinstance(shapes, tuple):
                return jax.random.normal(jax.random.key(seed), shapes, case.dtype)
            made = {name: jax.random.normal(jax.random.key(seed), shape, case.dtype) for name, shape in shapes.items()}
            if "lengths" in made:
                made["lengths"] = jnp.full((case.rows,), case.events, "int32")
            return made

        function = jax.jit(forward if case.what == "forward" else gradient)
        # Two inputs in turns, lest the second run find the first one's in the cache.
        return self._add("ours", function, [(weights, inputs(seed)) for seed in range(2)])

    def _model(self, case: Case) -> Facts:
        ranker = _built(models.ranker, case)
        cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

        def step(state: Any, columns: Any, labels: Any) -> Any:
            weights, others, slots = state

            def loss_of(weights: Any) -> Any:
                logits, changed = ranker.stateless_call(weights, others, columns, training=True)
                return sum(cross_entropy(labels[task], logits[task]) for task in logits), changed

            (loss, changed), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights)
            weights, slots = ranker.optimizer.stateless_apply(slots, gradients, weights)
            return (weights, changed, slots), loss

        groups = (ranker.trainable_variables, ranker.non_trainable_variables, ranker.optimizer.variables)
        state: Any = tuple(map(_values, groups))
        made = standard_work.arrays(ranker.schema, count=2, size=case.rows)
        batches = [jax.device_put(batch) for batch in made]
        compiled, facts = _compiled(jax.jit(step, donate_argnums=0), (state, *batches[0]))
        turns = itertools.cycle(batches)

        def run(count: int) -> None:
            nonlocal state
            for _ in range(count):
                state, loss = compiled(state, *next(turns))
            if not math.isfinite(float(loss)):
                raise ValueError(f"the loss is {float(loss)}")

        self.runs["ours"] = run
        return facts


def _built(make: Callable[[Case], Any], case: Case) -> Any:
    """What is made with its weights on the processor: a device compiles the draws of each shape by themselves."""
    with jax.default_device(jax.devices("cpu")[0]):
        return make(case)


def _values(variables: Any) -> list[Any]:
    return [jax.device_put(variable.value, jax.devices()[0]) for variable in variables]


def _compiled(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Facts]:
    started = time.perf_counter()
    traced = function.trace(*arguments)
    lowered = traced.lower()
    compiled = lowered.compile()
    return compiled, {
        "compile_seconds": time.perf_counter() - started,
        "multiplications": multiplications(traced.jaxpr),
        "bytes": bytes_of(arguments, lowered.out_info),
    }
