"""A setting that explains itself, a section of a job made of settings, and what must hold between several."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, field, fields
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
    place: int | None = None,
    is_literal: bool = False,
    is_address: bool = False,
    formerly: str | None = None,
    changes_results: bool = True,
) -> Any:
    """A dataclass field that knows what it means and which values it takes.

    Args:
        default: its default, or what makes one.
        meaning: one line for `--help`.
        allowed: the values it takes; none: all of its type.
        minimum: the least value, itself allowed.
        maximum: the greatest one, itself allowed.
        place: where on a command line its value may stand without its name: first (0), second (1)...
        is_literal: a name or a text that a command line gives as it stands: neither YAML nor interpolation.
        is_address: an address that may hold a login, which is taken off where it is read.
        formerly: the name that it had in earlier versions, still understood.
        changes_results: whether what is learned or scored depends on it; else it is no part of a key.
    """
    metadata = {"meaning": meaning, "allowed": allowed, "minimum": minimum, "maximum": maximum}
    metadata |= {"place": place, "is_literal": is_literal, "formerly": formerly}
    metadata["is_address"] = is_address
    metadata["changes_results"] = changes_results
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def section(
    schema: type[Any],
    meaning: str,
    *,
    is_group: bool = False,
    is_own: bool = False,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Any:
    """A field of a job's root dataclass: settings that it shares with other jobs.

    Args:
        schema: the section's dataclass.
        meaning: what it is about.
        is_group: whether `<name>=<member>` takes its values from conf/<name>/<member>.yaml.
        is_own: whether its settings need no section in front, because the job is about nothing else.
        without: settings of the section that this job has no use for: it does not take them.
        only: those that it has a use for; none: all but `without`.
    """
    names = {setting.name for setting in fields(schema)}
    left_out = names - set(only) if only is not None else set(without)
    if unknown := (left_out | set(only or ())) - names:
        raise ValueError(f"{schema.__name__} has no {', '.join(sorted(unknown))}")
    metadata = {"meaning": meaning, "without": frozenset(left_out), "is_group": is_group, "is_own": is_own}
    return field(default_factory=schema, metadata={"allowed": None, "formerly": None, **metadata})


def left_out_of(setting: Any) -> frozenset[str]:
    """The settings of a section that a job does not take.

    Args:
        setting: the field that `section` or `option` made.
    """
    return frozenset(setting.metadata.get("without", ()))


def default_of(setting: Field[Any]) -> Any:
    """The default of a setting, made anew where it can change."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


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
