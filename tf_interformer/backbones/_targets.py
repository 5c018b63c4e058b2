"""Which feature tokens show the candidate in the terms of a sequence's events."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer.schema._parts import SchemaParts


class Targets:
    """What a backbone that compares events with the candidate keeps of its argument `targets`."""

    needs_targets = True

    def keep_targets(self, targets: Any) -> None:
        """Check the argument and keep it."""
        # As text, because tf_keras would wrap a dict into something that no longer serialises.
        self._targets = json.dumps(check_targets(targets))

    @property
    def targets(self) -> dict[str, list[int]]:
        """For each sequence the feature tokens that are its target."""
        found: dict[str, list[int]] = json.loads(self._targets)
        return found

    @property
    def target_features(self) -> list[int]:
        """Indices of the feature tokens that show the candidate in the terms of some event."""
        return sorted({index for chosen in self.targets.values() for index in chosen if index >= 0})

    def check_target_features(self, tokens: int) -> None:
        """Raises unless all of them are among so many feature tokens."""
        wrong = [index for index in self.target_features if index >= tokens]
        if wrong:
            raise ValueError(
                f"`targets` must be indices of the {tokens} feature tokens, or -1. Received: targets={self.targets}"
            )


def targets_of(schema: SchemaParts, feature_names: Sequence[str]) -> dict[str, list[int]]:
    """Returns for each sequence, and each field of its events, the feature token of the same table, or -1.

    Where several features share the table, one that the schema names as a candidate's comes first.

    Args:
        schema: `FeatureSchema`.
        feature_names: list of str. Names of the feature tokens in their order.
    """
    tokens: dict[str, int] = {}
    made = [column for column in schema.encoded_columns if column.goes == "token" and column.sequence is None]
    for column in sorted(made, key=lambda column: column.side == "user"):
        if column.table is not None:
            tokens.setdefault(column.table, list(feature_names).index(column.name))
    tables = {column.name: column.table for column in schema.encoded_columns}
    return {s.name: [tokens.get(tables[part[0]] or "", -1) for part in s.event_parts] for s in schema.sequences}


def check_targets(targets: Any) -> dict[str, list[int]]:
    """Returns `targets` as a backbone takes them, an empty dict for `None`."""
    message = f"`targets` must hold a list of integers for the name of each sequence. Received: targets={targets!r}"
    if targets is None:
        return {}
    if not isinstance(targets, Mapping):
        raise ValueError(message)
    found = {}
    for name, chosen in targets.items():
        if not isinstance(chosen, Sequence) or isinstance(chosen, str) or not len(chosen):
            raise ValueError(message)
        if not all(isinstance(index, int) and not isinstance(index, bool) for index in chosen):
            raise ValueError(message)
        found[str(name)] = list(chosen)
    return found
