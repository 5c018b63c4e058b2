"""In which order and by how many examples a split is read, whatever its format."""

from dataclasses import dataclass

from tf_interformer.schema import Label


@dataclass(frozen=True)
class Reading:
    """How a split is read; see `pipelines.input.Source.raw_batches`.

    Attributes:
        batch_size: Examples per batch.
        shuffle_buffer: Examples among which to shuffle; 0 keeps the order of the files.
        seed: Of all draws.
        skip: Batches to leave out at the start.
        deterministic: Whether the order depends on the seed alone.
        drop_remainder: Whether to leave out the last batch when it is smaller.
        dropping: The label by which negatives are dropped, if any.
        key: Column and dtype of what stands together, if anything does.
    """

    batch_size: int
    shuffle_buffer: int = 0
    seed: int = 0
    skip: int = 0
    deterministic: bool = True
    drop_remainder: bool = False
    dropping: Label | None = None
    key: tuple[str, str] | None = None

    @property
    def held(self) -> int:
        """Examples that are held in memory."""
        return max(self.shuffle_buffer, self.batch_size)
