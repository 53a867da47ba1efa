"""Dockerfiles: bases are pinned, and what hadolint says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.check.entry_points import command_of, commands_in
from infra.check.finding import CannotRunError, Finding
from infra.check.laws.images import image_problem
from infra.check.rendered import mapping
from infra.check.tools import needed_tool, run_tool

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


def bases(text: str, source: str) -> Iterator[Finding]:
    """Every image that a Dockerfile begins with or copies from is pinned by digest.

    The digest may be an argument without a default: then whoever builds must give one.
    """
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    for number, words in instructions(text):
        name = words[0].upper()
        if name == "ARG" and not stages:
            for word in words[1:]:
                key, has_default, value = word.partition("=")
                if has_default:
                    arguments[key] = _filled(value, arguments)
        images = []
        if name == "FROM":
            rest = [word for word in words[1:] if not word.startswith("--")]
            images = rest[:1]
        elif name == "COPY":
            images = [word.partition("=")[2] for word in words if word.startswith("--from=")]
        for image in (_filled(one, arguments) for one in images):
            problem = _base_problem(image, stages)
            if problem:
                change = "pin it by digest, name@sha256:..., or by an argument of the build that holds the digest"
                yield _finding("docker/base", source, f"line {number}", problem, change)
        if name == "FROM":
            stages.add(rest[2].lower() if len(rest) == 3 else f"#{len(stages)}")


def instructions(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of each instruction."""
    for line, raw in _raw_instructions(text):
        yield line, _words(raw)


def _raw_instructions(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each instruction, continued lines joined, comments left out."""
    start, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        start = start or number
        pending += f" {line.rstrip()}"
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        if pending.strip():
            yield start, pending.strip()
        start, pending = 0, ""


def commands_of(text: str) -> list[str]:
    """Commands of this project that containers of an image run; an entry point and the command after it are one.

    What is run while the image is built is none: there the build fails.
    """
    found: list[str] = []
    entry: list[str] = []
    for _, raw in _raw_instructions(text):
        name, words = raw.split(maxsplit=1)[0].upper(), _json_words(raw)
        if name == "FROM":
            entry = []
        elif words and name == "ENTRYPOINT":
            entry = words
        if name not in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
            continue
        if words:
            found += command_of([*entry, *words] if name == "CMD" else words)
        else:
            found += commands_in(raw)
    return found


def _json_words(raw: str) -> list[str]:
    """The words of an instruction's list; none: it has a shell's text."""
    listed = re.search(r"\[.*\]\s*$", raw)
    try:
        return [str(one) for one in json.loads(listed.group())] if listed else []
    except ValueError:
        return []


def hadolint(dockerfiles: Sequence[Path], root: Path, folder: Path) -> list[Finding]:
    """What hadolint finds; comments that silence it count for nothing.

    Raises:
        CannotRunError: it is not there, or does not answer in JSON.
    """
    found = []
    for dockerfile in dockerfiles:
        words = [str(needed_tool("hadolint")), "--format", "json", "--disable-ignore-pragma", "--no-color"]
        done = run_tool([*words, str((root / dockerfile).resolve())], folder)
        try:
            reports = json.loads(done.stdout)
        except ValueError:
            said = " ".join((done.stderr or done.stdout).split())[-500:]
            raise CannotRunError(f"hadolint gave no JSON: {said}", "a report", "run it by hand") from None
        for one in map(mapping, reports):
            change = "correct it, or explain it in infra/check/exceptions.yaml"
            problem = str(one.get("message")).rstrip(".")
            found.append(_finding(str(one.get("code")), str(dockerfile), f"line {one.get('line')}", problem, change))
    return found


def _base_problem(image: str, stages: set[str]) -> str:
    if image.lower() in (*stages, "scratch") or image.isdigit():
        return ""
    if re.search(r"@(sha256:)?\$", image):
        return ""
    if "$" in image:
        return f"'{image}' has an argument without a default"
    return image_problem(image)


def _filled(text: str, arguments: dict[str, str]) -> str:
    """A text with its arguments' defaults; what has none stays."""

    def value(found: re.Match[str]) -> str:
        default = found[3] if found[3] is not None else found[0]
        return arguments.get(found[1] or found[2], default)

    return _VARIABLE.sub(value, text)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an instruction with a lone quote
        return line.split()


def _finding(check: str, source: str, path: str, problem: str, change: str) -> Finding:
    name = Path(source).name
    return Finding(check=check, source=source, object=name, path=path, problem=problem, change=change)
