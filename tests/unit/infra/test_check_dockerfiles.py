"""`infra/check/dockerfiles.py`: what an image begins with is pinned."""

import pytest
from small_infra import DIGEST, DOCKERFILE

from infra.check.dockerfiles import bases, commands_of, instructions

PINNED = f"x/python:3.11@{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        DOCKERFILE,
        f"FROM {PINNED}",
        f"FROM --platform=$BUILDPLATFORM {PINNED} AS a\nFROM a\nCOPY --from=a /x /x\nCOPY --from=0 /y /y",
        f"ARG TAG=3.11\nARG BASE=x/python:${{TAG}}@{DIGEST}\nFROM $BASE",
        "ARG DIGEST\nFROM x/python@${DIGEST}",
        "ARG DIGEST\nFROM x/python:3.11@sha256:${DIGEST}",
        "FROM scratch",
        f"FROM \\\n  {PINNED} \\\n  AS a\n# FROM other\nFROM A",
    ],
)
def test_a_pinned_base_is_fine(text):
    """By digest, an argument that holds one, or an earlier stage."""
    assert list(bases(text, "Dockerfile")) == []


@pytest.mark.parametrize(
    "text",
    [
        "FROM x/python:3.11",
        "FROM x/python",
        "ARG BASE=x/python:3.11\nFROM ${BASE}",
        "ARG BASE\nFROM ${BASE}",
        "FROM ${BASE:-x/python:3.11}",
        f"FROM {PINNED} AS a\nCOPY --from=ghcr.io/x/uv:0.9 /uv /uv",
        f"FROM {PINNED} AS a\nFROM b",
        f"FROM {PINNED}\nARG X={PINNED}\nFROM x/other:1",
    ],
)
def test_a_base_that_may_change_is_said_with_its_line(text):
    """Images that files are copied from, too."""
    (found,) = bases(text, "infra/Dockerfile")
    assert found.check == "docker/base" and found.path.startswith("line ") and found.object == "Dockerfile"


def test_instructions_are_read_over_several_lines():
    """Comments between them, too."""
    text = '# syntax\n\nRUN a \\\n  # why\n  && b\nCMD ["x"]\n'
    assert [(line, words[0]) for line, words in instructions(text)] == [(3, "RUN"), (6, "CMD")]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (DOCKERFILE, ["python jobs/dq_sweep.py --help"]),
        ('FROM x\nENTRYPOINT ["python"]\nCMD ["jobs/x.py", "a=1"]', ["python jobs/x.py a=1"]),
        ('FROM x\nENTRYPOINT ["python"]\nFROM y\nCMD ["jobs/x.py"]', []),
        ("FROM x\nHEALTHCHECK --interval=5s CMD python jobs/x.py || exit 1", ["python jobs/x.py"]),
        ("FROM x\nRUN python jobs/x.py \\\n  a=1 && true", []),
        ("FROM x\nCOPY jobs/x.py /app/", []),
    ],
)
def test_commands_of_this_project_are_found(text, commands):
    """In a list as in a shell's text."""
    assert commands_of(text) == commands
