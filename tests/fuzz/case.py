"""One case of a subject, and what came of it."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from repository import ROOT

from pipeline.config.errors import UserError

# In the order of the table. `refused`: in one paragraph; `same`: accepted with the same answer; `accepted`: where
# answers are not compared; `unseen`: another answer that no check can see; the rest are faults.
OUTCOMES = ("refused", "same", "accepted", "unseen", "other", "traceback", "hang")
FAULTS = ("other", "traceback", "hang")
LONGEST_PARAGRAPH = 4000  # characters: what is longer is no paragraph
LONGEST_DETAIL = 4000


class TimeIsOverError(BaseException):
    """Raised inside a case that takes too long; nothing that catches `Exception` keeps it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that was changed, and how it is read.

    Args:
        change: what was done to something good, for people.
        call: reads it and answers.
        expected: the answers that are right; none: whatever is accepted is right.
        is_unseen: whether another answer is one that no check can see.
    """

    change: str
    call: Callable[[], Any]
    expected: tuple[Any, ...] | None = None
    is_unseen: Callable[[Any], bool] = lambda answer: False


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that is read.

    Args:
        name: of the subject.
        prepare: what all cases start from, made once in a folder of its own; it can be pickled.
        case: draws one in an empty folder, the working directory; the same draws make the same case.
        is_refusal: whether an error is a refusal in one paragraph.
    """

    name: str
    prepare: Callable[[Path], Any]
    case: Callable[[Any, Random, Path], Case]
    is_refusal: Callable[[BaseException], bool] = lambda error: isinstance(error, UserError)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a case: `kind` is the same for faults of one cause, `detail` is for people."""

    subject: str
    number: int
    outcome: str
    change: str
    kind: str = ""
    detail: str = ""


def rng_of(subject: str, seed: int, number: int) -> Random:
    """The draws of a case: the same on every machine."""
    return Random(f"{seed}-{subject}-{number}")


def judged(subject: Subject, number: int, case: Case) -> Result:
    """Read a case and say what came of it."""

    def result(outcome: str, kind: str = "", detail: str = "") -> Result:
        shown = case.change[:LONGEST_DETAIL].encode("utf-8", "backslashreplace").decode()
        detail = detail[-LONGEST_DETAIL:].encode("utf-8", "backslashreplace").decode()
        return Result(
            subject=subject.name, number=number, outcome=outcome, change=shown, kind=kind, detail=detail
        )  # fmt: skip

    try:
        answer = case.call()
    except KeyboardInterrupt:
        raise
    except TimeIsOverError as error:
        return result("hang", f"hang in {_place(error)}", _trace(error))
    except BaseException as error:
        if not subject.is_refusal(error):
            return result("traceback", f"{type(error).__name__} in {_place(error)}", _trace(error))
        if (blown := _blown_up(error)) is not None:
            return result("traceback", f"blow-up ({blown}) in {_place(error)}", _trace(error))
        longest = max((len(str(one)) for one in error.errors), default=0) if isinstance(error, UserError) else 0
        if longest > LONGEST_PARAGRAPH:  # of others the words are not ours
            return result("traceback", f"a refusal of more than {LONGEST_PARAGRAPH:,} characters", str(error)[:400])
        return result("refused", detail=str(error))
    if case.expected is None:
        return result("accepted")
    if answer in case.expected:
        return result("same")
    if case.is_unseen(answer):
        return result("unseen")
    return result("other", "another answer", _difference(case.expected[0], answer))


def _blown_up(error: BaseException) -> str | None:
    """What a refusal came from if it is the end of memory or disk: luck, not a check."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return "memory"
        if isinstance(seen, OSError) and seen.errno in (errno.EFBIG, errno.ENOSPC):
            return "disk"
        seen = seen.__cause__ or seen.__context__
    return None


def _place(error: BaseException) -> str:
    """The last line of the project's own code on the way to an error."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.name != "time_is_over"]
    own = [frame for frame in frames if (ROOT / "pipeline") in Path(frame.filename).parents]
    if not own:
        frame = frames[-1]
        return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}, outside of the pipeline"
    return f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno} {own[-1].name}"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # of a message that cannot be printed
        return f"{type(error).__name__}, whose message cannot be printed"


def _difference(expected: Any, answer: Any) -> str:
    """The parts that differ, where answers are dictionaries."""
    if not (isinstance(expected, dict) and isinstance(answer, dict)):
        return f"{expected!r:.500} became {answer!r:.500}"
    names = [name for name in expected if expected[name] != answer.get(name)]
    return "; ".join(f"{name}: {expected[name]!r:.300} became {answer.get(name)!r:.300}" for name in names)
