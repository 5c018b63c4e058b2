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
        in_turns: Whether TFRecord files are read in turns, a record of each; else one behind the other.
        counted: In files whose records are requests, the label by which the examples of one are counted.
        by_request: Whether batches of such files are batches of requests.
        multiple: To a multiple of this the number of requests in a batch is filled up.
        keys: Column and dtype of what stands together, if anything does; of each following one within the one before.
    """

    batch_size: int
    shuffle_buffer: int = 0
    seed: int = 0
    skip: int = 0
    deterministic: bool = True
    drop_remainder: bool = False
    dropping: Label | None = None
    in_turns: bool = True
    counted: str | None = None
    by_request: bool = False
    multiple: int = 1
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def held(self) -> int:
        """Examples that are held in memory."""
        return max(self.shuffle_buffer, self.batch_size)
