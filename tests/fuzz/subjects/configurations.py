"""Configurations of every job: words of a command line, and the YAML files of conf/, up to what is known without torch.

Whatever is accepted is right; it must be printable, have a key, and keep what the environment holds to itself.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from repository import ROOT

from fuzz.case import Case, Subject
from fuzz.mutations import changed_bytes
from fuzz.odd_yaml import KEYS, ODD, SECRET, WORDS
from pipeline.config.build import build, describe, to_dict
from pipeline.config.errors import Mistakes
from pipeline.config.job import all_jobs, groups_of, has_experiments, job_name
from pipeline.config.keys import config_hash
from pipeline.config.load import CONF_DIR, known_config, members, to_public_dict, to_yaml
from pipeline.stages.command import with_keys

CANARY = "canary-in-the-environment"
CHECKS: dict[str, Callable[..., None]] = {}


def prepare(folder: Path) -> dict[str, str]:
    """The files of conf/ as texts."""
    return {path.relative_to(CONF_DIR).as_posix(): path.read_text() for path in CONF_DIR.rglob("*.yaml")}


def case(good: dict[str, str], rng: Random, folder: Path) -> Case:
    """Some words for some job, or a file that it reads with something changed."""
    job = rng.choice(all_jobs())
    words, conf_dir = _chosen(job, rng), CONF_DIR
    what = ""
    if rng.random() < 0.45:
        name, text, what = _changed_file(job, words, good, rng)
        conf_dir = _conf_with(good, name, text, folder / "conf")
    else:
        words += [_word(job, rng) for _ in range(rng.choice([1, 1, 2, 4]))]
    what = f"{job_name(job)} {' '.join(word[:200] for word in words)}{what}"
    return Case(change=what, call=lambda: _read(job, words, conf_dir))


def _read(job: type[Any], words: list[str], conf_dir: Path) -> None:
    """What every job does with its words before it imports its stage."""
    mistakes = Mistakes()
    with patch.dict(os.environ, {SECRET: CANARY}):
        config = known_config(job, with_keys(job, words, mistakes), mistakes, conf_dir)
        if (check := _check_of(job)) is not None:
            check(config, mistakes)
        mistakes.tell()
        shown = to_yaml(config)
    assert CANARY not in shown, "the environment's secret is printed"
    assert len(config_hash(to_public_dict(config))) == 10
    assert build(job, to_dict(config)) == config


def _check_of(job: type[Any]) -> Callable[..., None] | None:
    """The `check` that the job's script gives to its command."""
    name = job_name(job)
    if name not in CHECKS:
        script = runpy.run_path(str(ROOT / "jobs" / f"{name}.py"))
        CHECKS[name] = next((call for key, call in script.items() if key.startswith("check_")), lambda *_: None)
    return CHECKS[name]


def _chosen(job: type[Any], rng: Random) -> list[str]:
    words = []
    if has_experiments(job) and rng.random() < 0.4:
        words.append(f"experiment={rng.choice(members('experiment'))}")
    return words + [f"{group}={rng.choice(members(group))}" for group in groups_of(job) if rng.random() < 0.2]


def _word(job: type[Any], rng: Random) -> str:
    keys = [key for key, _, _ in describe(job)]
    odd = rng.choice(ODD)
    match rng.randrange(10):
        case 0:
            return rng.choice(WORDS)
        case 1:
            return f"{rng.choice(KEYS)}={odd}"
        case 2:
            return f"{rng.choice(keys).rpartition('.')[0]}={odd}"
        case 3:
            key = rng.choice(keys)
            return f"{key}.{rng.choice(['a', '0', '__class__', key])}={odd}"
        case 4:
            return f"{rng.choice([*groups_of(job), 'experiment', 'recipe', 'defaults'])}={odd}"
        case 5:
            return f"{_misspelt(rng.choice(keys), rng)}={odd}"
    return f"{rng.choice(keys).replace('[i]', '')}={odd}"


def _misspelt(key: str, rng: Random) -> str:
    place = rng.randrange(len(key))
    return key[:place] + rng.choice(["", "x", ".", "_", key[place].upper()]) + key[place + 1 :]


def _changed_file(job: type[Any], words: list[str], good: dict[str, str], rng: Random) -> tuple[str, bytes, str]:
    """A file that the job reads: its name, what now is in it, and what was done."""
    chosen = [f"{word.partition('=')[0]}/{word.partition('=')[2]}.yaml" for word in words]
    name = rng.choice([f"{job_name(job)}.yaml", *chosen, *chosen])
    text = good[name]
    if rng.random() < 0.3:
        what, changed = changed_bytes(text.encode(), rng)
        return name, changed, f" [{name}: {what}]"
    what, lines = _changed_lines(text.split("\n"), rng)
    return name, "\n".join(lines).encode("utf-8", "surrogatepass"), f" [{name}: {what[:200]}]"


def _changed_lines(lines: list[str], rng: Random) -> tuple[str, list[str]]:
    """A YAML file with one line changed, or one more."""
    index = rng.randrange(len(lines))
    line, odd = lines[index], rng.choice(ODD)
    key, mark, _ = line.partition(":")
    at = f"line {index + 1}"
    match rng.randrange(9):
        case 0:
            return f"{at} twice", [*lines[: index + 1], *lines[index:]]
        case 1:
            return f"{at} left out", lines[:index] + lines[index + 1 :]
        case 2:
            return f"{at} indented", [*lines[:index], f"{rng.choice([' ', '    ', chr(9)])}{line}", *lines[index + 1 :]]
        case 3:
            more = f"{rng.choice([*KEYS, 'seed', 'task', 'cluster'])}: {odd}"
            return f"added {more}", [*lines, more]
        case 4:
            return "said twice", [*lines, "---", *lines]
        case 5:
            more = f"defaults: {odd}"
            return f"added {more}", [*lines, more] if rng.random() < 0.5 else [more, *lines]
        case 6 if mark:
            return f"{at} under another name", [
                *lines[:index],
                f"{_misspelt(key, rng) if key else odd}:{line[len(key) + 1 :]}",
                *lines[index + 1 :],
            ]
    return f"{at}: {key}: {odd}", [*lines[:index], f"{key}: {odd}", *lines[index + 1 :]]


def _conf_with(good: dict[str, str], name: str, content: bytes, folder: Path) -> Path:
    """conf/ with one file changed."""
    for other in good:
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        if other == name:
            path.write_bytes(content)
        else:
            path.symlink_to(CONF_DIR / other)
    return folder


SUBJECT = Subject(name="configurations", prepare=prepare, case=case)
