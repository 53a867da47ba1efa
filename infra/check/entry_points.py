"""Commands of this project that manifests name: the files must be there, and a test runs them with --dry-run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates, ray_specifications
from infra.check.rendered import Render, at, mapping, sequence

_FOLDERS = r"(?:jobs|infra)/[\w./-]*\.py"
# A Python, flags of its own, a file of ours, and what follows until the shell ends the command.
_COMMAND = re.compile(
    rf"(?:^|[\s;&|('\"])(?:\S*/)?python[\d.]*(?P<flags>(?:\s+-[A-Za-z]\b)*)\s+"
    rf"(?:\S*/)?(?P<file>(?<!\w){_FOLDERS})(?P<rest>(?:\$\([^)\n]*\)|[^\n;&|)<>])*)"
)
_ANY_FILE = re.compile(rf"(?<![\w.-]){_FOLDERS}")
CHECK = "law/command"


def commands_in(text: str) -> list[str]:
    """Commands in a text that a shell may read, as `python jobs/x.py key=value`."""
    text = text.replace("\\\n", " ")
    return [
        command
        for one in _COMMAND.finditer(text)
        for command in _of_words(["python", *_words(f"{one['file']}{one['rest']}")])
    ]


def command_of(words: Sequence[str]) -> list[str]:
    """Commands in a list of words: its own, or those of a script that one of its words is."""
    return _of_words(words) or [command for word in words for command in commands_in(word)]


def _of_words(words: Sequence[str]) -> list[str]:
    """Commands among words: one may start another one, `python infra/laptop.py submit -- python jobs/x.py`."""
    starts: list[tuple[int, int, str]] = []  # of the command, of what follows its file, the file
    for start, word in enumerate(words):
        if re.fullmatch(r"(\S*/)?python[\d.]*", word):
            place = start + 1
            while place < len(words) and re.fullmatch(r"-[A-Za-z]", words[place]):
                place += 1
            if place < len(words) and (found := re.fullmatch(rf"(?:\S*/)?({_FOLDERS})", words[place])):
                starts.append((start, place + 1, found[1]))
    if not starts:
        return []
    ends = [start - (words[start - 1] == "--") for start, _, _ in starts[1:]] + [len(words)]
    return [shlex.join(["python", file, *words[place:end]]) for (_, place, file), end in zip(starts, ends, strict=True)]


def texts_of(render: Render) -> Iterator[tuple[Any, str, list[str], str]]:
    """(object, path, commands, all text) of everything in a render that may name a command."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            for container in template.containers:
                words = [str(one) for key in ("command", "args") for one in sequence(container.body.get(key))]
                yield manifest, container.path, command_of(words), "\n".join(words)
        _, job = ray_specifications(manifest) or ("", None)
        if job is not None and (entrypoint := at(manifest, f"{job}.entrypoint")):
            yield manifest, f"{job}.entrypoint", commands_in(str(entrypoint)), str(entrypoint)
        if manifest.get("kind") == "ConfigMap":
            for key, text in mapping(manifest.get("data")).items():
                yield manifest, f"data.{key}", commands_in(str(text)), str(text)


def entry_points(render: Render, root: Path, commands: set[str]) -> Iterator[Finding]:
    """Files that commands name are there.

    Args:
        render: to look at.
        root: the checkout.
        commands: is added to.
    """
    for manifest, path, found, text in texts_of(render):
        commands.update(found)
        for problem in problems_of(found, text, root):
            yield render.finding(CHECK, manifest, path, problem, "name a file of this repository: python jobs/NAME.py")


def problems_of(found: Sequence[str], text: str, root: Path) -> Iterator[str]:
    """What is wrong with commands: no such file; and files that are named in a way that is not read as a command."""
    files = [shlex.split(command)[1] for command in found]
    for file in files:
        if not (root / file).is_file():
            yield f"there is no {file}"
    for file in sorted(set(_ANY_FILE.findall(text)) - set(files)):
        yield f"{file} is named, and not as `python {file} ...`, so no test runs it"


def _words(text: str) -> list[str]:
    """Words of a line; a lone quote, of a text around it, ends it."""
    for end in range(len(text), 0, -1):
        try:
            return shlex.split(text[:end])
        except ValueError:
            continue
    return []
