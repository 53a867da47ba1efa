"""A setting that explains itself, and what must hold between several."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import field
from typing import Any, TypeVar

from pipeline.config.errors import Mistakes

Check = TypeVar("Check", bound=Callable[[Any], None])


def option(
    default: Any,
    meaning: str,
    *,
    allowed: tuple[Any, ...] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field that knows what it means and which values it takes (bounds are inclusive)."""
    metadata = {"meaning": meaning, "allowed": allowed, "minimum": minimum, "maximum": maximum}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def relation(*names: str) -> Callable[[Check], Check]:
    """Mark a method of a schema dataclass that raises a UserError where these of its settings do not go together."""

    def marked(check: Check) -> Check:
        check.reads = names  # type: ignore[attr-defined]
        return check

    return marked


def check_relations(settings: Any, without: Collection[str] = ()) -> None:
    """Every relation of a schema dataclass; for its `__post_init__`.

    Args:
        settings: the dataclass.
        without: names of settings whose values are unknown; relations that read one of them are left out.

    Raises:
        UserError: all that do not hold.
    """
    mistakes = Mistakes()
    for check in vars(type(settings)).values():
        reads: tuple[str, ...] = getattr(check, "reads", ())
        if reads and not set(reads) & set(without):
            with mistakes.noted():
                check(settings)
    mistakes.tell()
