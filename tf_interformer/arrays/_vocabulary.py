"""What a table knows of its values."""

from typing import Any, Protocol


class Vocabulary(Protocol):
    """What `Arrays.ids` needs to know of the owner of a table, which a `Categorical` says."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def missing(self) -> Any: ...
    @property
    def vocabulary(self) -> Any: ...
    @property
    def hash_buckets(self) -> int | None: ...
