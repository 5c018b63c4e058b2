"""What all parts of a schema have in common: frozen, strict, and errors that name the feature."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tf_interformer.schema.errors import SchemaError


def explain(error: ValidationError, owner: str) -> str:
    """One line per problem: owner, field, rule, and what was received."""
    lines = []
    # A wrong element also makes its tuple "too short"; only the element says what to mend.
    problems = [p for p in error.errors() if p["type"] != "too_short"] or error.errors()
    for problem in problems:
        place = ".".join(str(part) for part in problem["loc"])
        rule = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "value_error":  # our own validators already say what they received
            lines.append(f"{owner}: {rule}" if not place else f"{owner}, {place}: {rule}")
        else:
            lines.append(f"{owner}, {place}: {rule}. Received: {problem['input']!r}")
    return "\n".join(lines)


class SchemaModel(BaseModel):
    """Base of every part of a `FeatureSchema`; the name may be given by position."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, name: str | None = None, **data: Any) -> None:
        if name is not None:
            data["name"] = name
        try:
            super().__init__(**data)
        except ValidationError as error:
            owner = f"{type(self).__name__} {data.get('name', '(without a name)')!r}"
            raise SchemaError(explain(error, owner)) from None

    def __iter__(self) -> Any:
        # Not what has been derived of them, which pydantic would count among them.
        return ((name, getattr(self, name)) for name in type(self).model_fields)

    def replace(self, **changes: Any) -> Self:
        """The same with some fields changed, checked as a new one is.

        Raises:
            SchemaError: What comes out is wrong.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **changes})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `replace`: pydantic's own checks nothing, and keeps what was derived before."""
        return self.replace(**(update or {}))
