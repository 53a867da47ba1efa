"""What the tests of infra/docker know of Dockerfiles and .dockerignore."""

import re
from pathlib import Path

from repository import ROOT

DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"


def instructions(text):
    """(name, rest) of every instruction: lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def stages(text):
    """Name of a stage -> (what it begins with, its instructions)."""
    found, name = {}, None
    for instruction, rest in instructions(text):
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = (base, [])
        elif name:
            found[name][1].append((instruction, rest))
    return found


def all_of(text, name):
    """Instructions of a stage, after those of the stages that it begins with."""
    known, found = stages(text), []
    while name in known:
        name, own = known[name][0], known[name][1]
        found = own + found
    return found


def copied(instructions_of_a_stage):
    """Paths that a stage copies from the repository."""
    for name, rest in instructions_of_a_stage:
        words = [word for word in rest.split() if not word.startswith("--")]
        if name == "COPY" and "--from=" not in rest:
            yield from words[:-1]


def is_ignored(path, patterns):
    """What .dockerignore says of a path: the last line counts that matches it or a folder above it."""
    ignored = False
    for pattern in patterns:
        is_exception, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        parts = [re.escape(part).replace(r"\*\*", ".*").replace(r"\*", "[^/]*") for part in pattern.split("/")]
        regex = "/".join(parts).replace(".*/", "(.*/)?")
        if any(re.fullmatch(regex, str(one)) for one in (Path(path), *Path(path).parents) if str(one) != "."):
            ignored = not is_exception
    return ignored


def ignore_patterns():
    """The lines of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
