"""The lock files pin what is tested, each file of it by its digest, and nothing else."""

import re
import tomllib

import pytest
from repository import ROOT

NAMES = ("requirements.lock", "torch-cpu.lock", "torch-cuda.lock", "docker/mlflow.lock")
LOCKS = [ROOT / "infra" / name for name in NAMES]
LINE = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)(?: ; [^\\]+)? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")


def locked():
    """Package -> version."""
    lines = [line for path in LOCKS for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(found.groups() for line in lines if (found := LINE.fullmatch(line)))


def test_torch_is_the_same_for_every_kind_of_machine():
    """But for its build."""
    versions = {re.search(r"^torch==([\d.]+)", path.read_text(), flags=re.M)[1] for path in LOCKS[1:3]}
    assert len(versions) == 1


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_packages_and_hashes(path):
    """No address, no folder of a machine, no option."""
    for line in path.read_text().splitlines():
        assert line.startswith("# ") or LINE.fullmatch(line) or HASH.fullmatch(line), line


def test_the_locks_pin_what_the_constraints_and_the_project_pin():
    """To the same versions, all of them."""
    found = {name: version.partition("+")[0] for name, version in locked().items()}
    constraints = (ROOT / "infra" / "constraints.txt").read_text()
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", constraints, flags=re.M))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned |= dict(
        re.findall(
            r"([A-Za-z0-9._-]+)(?:\[[a-z,]*\])?==(\S+)", "\n".join(one for extra in extras.values() for one in extra)
        )
    )
    assert {normal(name): version for name, version in pinned.items()}.items() <= found.items()
