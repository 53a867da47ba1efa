"""The frame of every job: arguments in, one JSON document on the last line of stdout, an exit code out."""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pipeline import WRITTEN_BY
from pipeline.cluster.driver import DriverLostError
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.job import addresses, job_name, known_keys, own_section, own_settings, positional
from pipeline.config.jobs import StoresResults
from pipeline.config.load import help_text, known_config, to_yaml
from pipeline.config.login import PASSWORD_VARIABLE, USER_VARIABLE, has_login
from pipeline.config.login_file import take_environment
from pipeline.config.masking import masked, masked_error
from pipeline.console.log import LOG_LEVEL, log_to_stderr
from pipeline.stages.document import document_line
from pipeline.storage.disk import disk_trouble
from pipeline.storage.layout import personal_path
from pipeline.training.allocator import keep_memory
from pipeline.training.stop_request import EXIT_CODE, Stopped, listening

Job = TypeVar("Job", bound=StoresResults)
JOBS_WITH = {"--dry-run": "agora_finetune, bort_pretrain, dq_sweep, ose_search", "--resolve": "ose_search"}
log = logging.getLogger(__name__)
WIDTH = 110  # of a paragraph, in characters
NEARLY = 0.8  # how much alike a mistyped key and a key are


def with_keys(job: type[Any], words: list[str], mistakes: Mistakes | None = None) -> list[str]:
    """Words that are no `key=value` get the keys of their places; more of them than places are refused later.

    A run's name may hold `=`: `2-2-8 6-3 seed=1`. So may a text: of a job with a section of its own only known keys are
    keys, and they need no section in front: `model=` is the student there, not the group.

    Args:
        job: its root dataclass.
        words: its arguments.
        mistakes: where words that are refused are added, and left out; none: they are raised.

    Raises:
        UserError: a word that is nearly a key, an option with dashes, or one text too many.
    """
    gathered = Mistakes() if mistakes is None else mistakes
    keyed: list[tuple[str, str | None]] = []
    for word in words:
        with gathered.noted():
            keyed.append((word, _keyed(job, word)))
    taken = {word.partition("=")[0] for _, word in keyed if word is not None}
    places, complete = iter(key for key in positional(job) if key not in taken), []
    for given, key_and_value in keyed:
        with gathered.noted():
            complete.append(_placed(job, given, places) if key_and_value is None else key_and_value)
    if mistakes is None:
        gathered.tell()
    return complete


def _keyed(job: type[Any], word: str) -> str | None:
    """A word of the form key=value with the whole key; none if it is something else."""
    own = own_settings(job)
    if (found := re.match(r"([A-Za-z_][\w.]*)=", word)) is None:
        if own and (option := re.fullmatch(r"--?([A-Za-z][\w-]*)(=\S*)?", word)):
            raise _no_setting(job, word, option[1].replace("-", "_"))
        return None
    key = found[1]
    if key in own:
        return f"{own_section(job)}.{word}"
    section = key.partition(".")[0] if "." in key else None
    if not own or section in known_keys() or (" " not in word and key in known_keys()):
        return word  # a setting of another job is refused later
    if " " not in word and get_close_matches(key, own, 1, NEARLY):
        raise _no_setting(job, word, key)
    return None if " " in word or "text" in own else word  # where there are no texts, it can only be a key


def _no_setting(job: type[Any], word: str, meant: str) -> UserError:
    own = own_settings(job)
    near = get_close_matches(meant, own, 1, NEARLY) or ["key"]
    text = f", or, if it is a text, text='{word}'" if "text" in own else ""
    return UserError(f"'{word}'", f"the settings {', '.join(own)}", f"write {near[0]}=...{text}")


def _placed(job: type[Any], word: str, places: Iterator[str]) -> str:
    if (key := next(places, None)) is not None:
        return f"{key}={word}"
    if own_section(job) is not None:
        allowed = ", ".join(key.partition(".")[2] for key in positional(job))
        raise UserError(f"'{word}' is one word too many", f"{allowed}, key=value", "put words with spaces into quotes")
    return word


@listening()
def main(
    job: type[Job],
    summary: str | None,
    run: Callable[[Job], dict[str, Any]],
    dry_run: Callable[[Job], dict[str, Any]] | None = None,
    resolve: Callable[[Job], dict[str, Any]] | None = None,
    has_document: Callable[[Job | None], bool] = lambda _: True,
    check: Callable[[Job, Mistakes], None] | None = None,
    exit_code: Callable[[dict[str, Any]], int] | None = None,
    place: Callable[[Job, Callable[[], int], Callable[[DriverLostError], int]], int] | None = None,
) -> int:
    """Run a job from the command line.

    Args:
        job: its root dataclass.
        summary: one line for `--help`.
        run: what it does.
        dry_run: what it does under `--dry-run`; none if it knows no such thing.
        resolve: what it does under `--resolve`, likewise.
        has_document: whether stdout gets the document, by configuration (none: it could not be read).
        check: refuses what is known to be wrong without torch, before `run` imports it, together with what was found
            already; settings that are concerned have their defaults.
        exit_code: of a document, where a job has codes of its own; none: 0 or 1.
        place: does a job's run to its end where its configuration says, or says that its process was lost; none: it
            is done in this process.

    Returns:
        0: done; 1: done, but a student failed; 2: the user can mend it, stderr says how; 3: a crash;
        75: asked to stop, or without its cluster: submitted again it goes on.
    """
    arguments, name, mistakes = sys.argv[1:], job_name(job), Mistakes()
    modes = {"--dry-run": dry_run, "--resolve": resolve}
    config: Job | None = None
    if {"--help", "-h"} & set(arguments):
        print(help_text(job, summary or name, options=[option for option, call in modes.items() if call is not None]))
        return 0
    if "--version" in arguments:
        print(WRITTEN_BY)
        return 0
    try:
        words = _words(job, [word for word in arguments if word not in ("--print-config", *modes)], mistakes)
        known = known_config(job, words, mistakes)
        if "--print-config" in arguments:
            mistakes.tell()
            print(to_yaml(known), end="")
            return 0
        config = None if mistakes.errors else known
        warnings.filterwarnings("ignore", category=FutureWarning)
        call = _asked(name, run, modes, arguments, mistakes)
        if check is not None:
            check(known, mistakes)
        mistakes.tell()
        config = known
        finish = functools.partial(_finished, name, config, call, has_document, exit_code)
        if place is None or call is not run:
            return finish()
        return place(config, finish, functools.partial(_told_lost, name, has_document=has_document(config)))
    except Stopped as stop:
        return _told_stop(name, str(stop), has_document=has_document(config))
    except Exception as error:  # the last line is a document, also of a crash
        return _told(name, error, has_document=has_document(config))


def _finished(
    name: str,
    config: Job,
    call: Callable[[Job], dict[str, Any]],
    has_document: Callable[[Job | None], bool],
    exit_code: Callable[[dict[str, Any]], int] | None,
) -> int:
    """Do what was asked to its end; the exit code."""
    try:
        keep_memory()  # what this process trains or evaluates; Ray's workers have it from their environment
        result = call(config)
    except Stopped as stop:
        return _told_stop(name, str(stop), has_document=has_document(config))
    except Exception as error:
        return _told(name, error, has_document=has_document(config))
    if has_document(config):
        print(document_line(name, result, personal_path(config.storage.path).absolute()), flush=True)
    if exit_code is not None:
        return exit_code(result)
    return 0 if result["status"] in ("finished", "planned") else 1


def _words(job: type[Any], arguments: list[str], mistakes: Mistakes) -> list[str]:
    """The settings of a command line, their keys written out; from here on messages are shown and logins are known."""
    with mistakes.noted(LOG_LEVEL):
        log_to_stderr()
    with mistakes.noted():
        take_environment()
    words = with_keys(job, arguments, mistakes)
    _warn_of_logins(job, words)
    return words


def _asked(
    name: str,
    run: Callable[[Job], dict[str, Any]],
    modes: Mapping[str, Callable[[Job], dict[str, Any]] | None],
    arguments: list[str],
    mistakes: Mistakes,
) -> Callable[[Job], dict[str, Any]]:
    """What the options ask for instead of the run; what none can have is noted."""
    asked = sorted(modes.keys() & set(arguments))
    if len(asked) > 1:
        mistakes.add(UserError(" and ".join(asked), "one of them at a time", f"leave out {asked[0]}"))
    for option in asked:
        with mistakes.noted(option):
            run = _mode(name, option, modes[option])
    return run


def _told(name: str, error: Exception, *, has_document: bool) -> int:
    """Say what went wrong, on stderr and in the document; the exit code."""
    told = error if isinstance(error, UserError) else disk_trouble(error)
    if told is not None:
        told = masked_error(told)
        print(_paragraph(name, told), file=sys.stderr)
        document, code = {"status": "mistake", "error": str(told)}, 2
    else:
        print(masked("".join(traceback.format_exception(error))), file=sys.stderr, end="")
        document, code = {"status": "error", "error": masked(f"{type(error).__name__}: {error}")}, 3
    if has_document:
        print(json.dumps(document), flush=True)
    return code


def _told_stop(name: str, reason: str, *, has_document: bool) -> int:
    """Say why the job has stopped before its end, on stderr and in the document; the exit code."""
    print(textwrap.fill(f"{name}: {reason}.", width=WIDTH), file=sys.stderr)
    if has_document:
        print(json.dumps({"status": "stopped", "error": reason}), flush=True)
    return EXIT_CODE


def _told_lost(name: str, lost: DriverLostError, *, has_document: bool) -> int:
    """Say that the driver was lost, on stderr and in the document; the exit code."""
    if not lost.is_killed:
        return _told_stop(name, f"{lost}; submit the same command again and it goes on", has_document=has_document)
    return _told(name, RuntimeError(str(lost)), has_document=has_document)


def _warn_of_logins(job: type[Any], words: list[str]) -> None:
    """Nothing that we do hides an argument."""
    for key, _, value in (word.partition("=") for word in words):
        if key in addresses(job) and has_login(value):
            log.warning(
                f"{key} on a command line: everybody on this machine can read its login there; {USER_VARIABLE} and "
                f"{PASSWORD_VARIABLE} in the environment are nobody else's"
            )


def _mode(job: str, option: str, call: Callable[[Job], dict[str, Any]] | None) -> Callable[[Job], dict[str, Any]]:
    """What a job does under an option.

    Raises:
        UserError: it knows no such thing.
    """
    if call is None:
        raise UserError(f"{option} of {job}", f"a job that has it: {JOBS_WITH[option]}", "leave it out")
    return call


def _paragraph(job: str, error: UserError) -> str:
    """What is wrong, as people read it: a paragraph, or a numbered list of several."""
    fill = functools.partial(textwrap.fill, width=WIDTH, break_long_words=False, break_on_hyphens=False)
    if len(error.errors) == 1:
        return fill(f"{job}: {error}")
    items = (fill(f"{n}. {one}", subsequent_indent="   ") for n, one in enumerate(error.errors, 1))
    return "\n".join((f"{job}: {len(error.errors)} mistakes", *items))
