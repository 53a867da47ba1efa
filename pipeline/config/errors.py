"""The one error that means: the user can fix this. And several of them, told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SHOWN_NAMES = 20
SHOWN_CHARACTERS = 1000  # of a part of a message: nobody reads a megabyte that was given
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # to a terminal or a log, if they are UTF-8 at all


def listed(names: Sequence[str]) -> str:
    """Names for a message, which nobody reads to its end where there are thousands."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _shown(part: str) -> str:
    """A part of a message as it can be printed: of a long one the beginning and the end."""
    part = UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], part)
    if len(part) <= SHOWN_CHARACTERS:
        return part
    omitted = f" ... ({len(part):,} characters) ... "
    rest = SHOWN_CHARACTERS - len(omitted)
    return f"{part[: rest - rest // 4]}{omitted}{part[-(rest // 4) :]}"


class UserError(Exception):
    """A mistake in configuration, data or environment that the person who started the job can mend.

    Jobs print it as one paragraph on stderr and exit with code 2.

    Args:
        given: what was given.
        allowed: what would have been accepted.
        change: what to change.
    """

    def __init__(self, given: str, allowed: str, change: str) -> None:
        self.given, self.allowed, self.change = map(_shown, (given, allowed, change))
        sentences = (self.given, f"Allowed: {self.allowed}", f"Change: {self.change}")
        super().__init__(" ".join(text if text.endswith((".", "?")) else f"{text}." for text in sentences))

    @property
    def errors(self) -> tuple[UserError, ...]:
        """The single mistakes: itself."""
        return (self,)

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        # Ray pickles exceptions on their way from a worker to the driver.
        return type(self), (self.given, self.allowed, self.change)


class JoinedUserError(UserError):
    """Several mistakes, none of which follows from another; jobs print a numbered list."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        parts = ("; ".join(getattr(error, part) for error in errors) for part in ("given", "allowed", "change"))
        super().__init__(*parts)
        self.args = (f"{len(errors)} mistakes: " + " ".join(f"{n}. {error}" for n, error in enumerate(errors, 1)),)
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[UserError, ...]:
        """The single mistakes."""
        return self._errors

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        return type(self), (self._errors,)


class Mistakes:
    """Gathers mistakes and remembers which settings are unknown because of them."""

    def __init__(self) -> None:
        self.errors: list[UserError] = []
        self.unknown: set[str] = set()

    def add(self, error: UserError, *keys: str) -> None:
        """One more, or several; equal ones count once.

        Args:
            error: the mistake.
            keys: dotted names of the settings whose values are unknown because of it; empty: of all.
        """
        known = {str(one) for one in self.errors}
        self.errors += [one for one in error.errors if str(one) not in known]
        self.unknown.update(keys)

    @contextmanager
    def noted(self, *keys: str) -> Iterator[None]:
        """What is refused inside is added and ends the block."""
        try:
            yield
        except UserError as error:
            self.add(error, *keys)

    def concern(self, key: str) -> bool:
        """Whether the value of a setting or section is unknown, in part or because it is part of another."""
        return any(_within(key, unknown) or _within(unknown, key) for unknown in self.unknown)

    def tell(self) -> None:
        """Raise what was gathered, if anything was.

        Raises:
            UserError: as said.
        """
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else JoinedUserError(self.errors)


class NonFiniteError(ArithmeticError):
    """A tensor or a loss term became NaN or infinite."""


def _within(key: str, section: str) -> bool:
    return not section or key == section or key.startswith((f"{section}.", f"{section}["))
