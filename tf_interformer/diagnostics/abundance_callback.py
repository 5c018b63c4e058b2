"""Information abundance over the course of a training."""

import os
from collections.abc import Mapping
from typing import Any

from tf_interformer._keras import keras
from tf_interformer._tensorflow import tf
from tf_interformer.diagnostics.information_abundance import information_abundance


class InformationAbundance(keras.callbacks.Callback):
    """Keeps the information abundance of every field in view while a Ranker trains, whatever its backbone.

    `values` holds one dict of `information_abundance` per reading, with the training step that it was taken after
    under `"step"`; those at the end of an epoch are in `fit`'s history too, as `abundance_FIELD`.

    Args:
        batch: dict or `None`. An encoded batch whose tokens are judged; `None` judges the embedding tables. Defaults
            to `None`.
        log_dir: path or `None`. Where a TensorBoard log is written. Defaults to `None`, no log.
        every: int or `None`. Also read every so many training steps. Defaults to `None`, after epochs only.

    Raises:
        ValueError: If `every` is less than 1.

    Example:

    >>> callbacks = [InformationAbundance(log_dir="runs/tensorboard", every=500)]  # doctest: +SKIP
    """

    def __init__(
        self,
        batch: Mapping[str, Any] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        every: int | None = None,
    ) -> None:
        super().__init__()
        if every is not None and every < 1:
            raise ValueError(f"`every` must be at least 1 or None. Received: every={every}")
        self.batch = batch
        self.log_dir = log_dir
        self.every = every
        self.values: list[dict[str, float]] = []
        self._step = 0
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(os.fspath(self.log_dir))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._step += 1
        if self.every is not None and self._step % self.every == 0:
            self._read()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        # Not twice where an epoch ends with a reading.
        if not self.values or self.values[-1]["step"] != self._step:
            self._read()
        if logs is not None:
            logs.update({f"abundance_{name}": value for name, value in self.values[-1].items() if name != "step"})

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _read(self) -> None:
        found = information_abundance(self.model, self.batch)
        self.values.append({"step": self._step, **found})
        if self._writer is not None:
            with self._writer.as_default(step=self._step):
                for name, value in found.items():
                    tf.summary.scalar(f"information_abundance/{name}", value)
