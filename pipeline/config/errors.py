"""The one error that means: the user can fix this. And several of them, told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SHOWN_NAMES = 20
SENTENCE_CHARACTERS = 300  # of what a library says
SHOWN_CHARACTERS = 1000  # of a part of a message: nobody reads a megabyte that was given
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # to a terminal or a log, if they are UTF-8 at all


def together(errors: Sequence[UserError]) -> UserError:
    """Several mistakes, or the only one, as one."""
    return errors[0] if len(errors) == 1 else JoinedUserError(errors)


def listed(names: Sequence[str]) -> str:
    """Names for a message, which nobody reads to its end where there are thousands."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _printable(part: str) -> str:
    return UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], part)


def _cut(part: str) -> str:
    """A part of a message as people read it: of a long one the beginning and the end."""
    if len(part) <= SHOWN_CHARACTERS:
        return part
    omitted = f" ... ({len(part):,} characters) ... "
    rest = SHOWN_CHARACTERS - len(omitted)
    return f"{part[: rest - rest // 4]}{omitted}{part[-(rest // 4) :]}"


class UserError(Exception):
    """A mistake in configuration, data or environment that the person who started the job can mend.

    Jobs print it as one paragraph on stderr and exit with code 2. As a text, long parts are cut; the parts themselves
    are whole, so that who masks secrets in them finds whole secrets.

    Args:
        given: what was given.
        allowed: what would have been accepted.
        change: what to change.
    """

    def __init__(self, given: str, allowed: str, change: str) -> None:
        self.given, self.allowed, self.change = map(_printable, (given, allowed, change))
        super().__init__(self.given, self.allowed, self.change)

    def __str__(self) -> str:
        sentences = (_cut(self.given), f"Allowed: {_cut(self.allowed)}", f"Change: {_cut(self.change)}")
        return " ".join(text if text.endswith((".", "?")) else f"{text}." for text in sentences)

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
        self._errors = tuple(errors)

    def __str__(self) -> str:
        return f"{len(self._errors)} mistakes: " + " ".join(f"{n}. {error}" for n, error in enumerate(self._errors, 1))

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
            raise together(self.errors)


class NonFiniteError(ArithmeticError):
    """A tensor or a loss term became NaN or infinite."""


def _within(key: str, section: str) -> bool:
    return not section or key == section or key.startswith((f"{section}.", f"{section}["))


def sentence_of(error: BaseException) -> str:
    """What an error of a library says, in one line that people can read to its end; its name where it says nothing."""
    return " ".join(str(error).split())[:SENTENCE_CHARACTERS] or type(error).__name__
