"""Cases that do each of what may happen: the fuzz sees it, says it and goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random
from typing import Any

from fuzz.case import Case, Subject
from pipeline.config.errors import UserError

# What a case does -> what is said of it.
DOES = {
    "refuses": "refused",
    "says the same": "same",
    "says something": "accepted",
    "says what nobody could see": "unseen",
    "says something else": "other",
    "raises": "traceback",
    "dies": "traceback",
    "wants memory": "traceback",
    "wants disk and refuses": "traceback",
    "loops": "hang",
    "waits": "hang",
}


def case(good: Any, rng: Random, folder: Path) -> Case:
    """One that does something of the list."""
    what = rng.choice(list(DOES))
    return Case(
        change=what,
        call=lambda: _does(what),
        expected=None if what == "says something" else ("says the same",),
        is_unseen=lambda answer: answer == "says what nobody could see",
    )


def _does(what: str) -> Any:
    match what:
        case "refuses":
            raise UserError("a mistake", "none", "mend it")
        case "raises":
            raise ZeroDivisionError("as asked")
        case "loops":
            while True:
                pass
        case "waits":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
            while True:
                signal.pause()
        case "dies":
            os.abort()
        case "wants memory":
            return len(bytearray(1 << 40))
        case "wants disk and refuses":
            _refuse_for_want_of_disk()
    return what


def _refuse_for_want_of_disk() -> None:
    try:
        with Path("big").open("wb") as file:
            file.truncate(1 << 40)
    except OSError as error:
        raise UserError("no room", "a smaller one", "take another") from error


SUBJECT = Subject(name="itself", prepare=lambda folder: None, case=case)
