"""`infra/docker/lock_of.py`: a part of a lock file, hash for hash, or a sentence."""

import subprocess
import sys

import pytest
from infra_scripts import script
from repository import ROOT

LOCK_OF = script("docker/lock_of.py")
LOCK = """# Made by hand.
a-b==1.0 ; python_version < "3.13" \\
    --hash=sha256:01 \\
    --hash=sha256:02
c==2.0 \\
    --hash=sha256:03
d_e==3 \\
    --hash=sha256:04
"""


def test_a_package_keeps_its_version_its_condition_and_all_its_hashes():
    """However its name is written; the others are left out."""
    assert LOCK_OF.lock_of(["D.E", "A_b"], LOCK) == "".join(
        line + "\n" for line in [*LOCK.splitlines()[1:4], *LOCK.splitlines()[6:]]
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["c", "x", "w"], "not in the lock file: w, x"),
        (["c", "C"], "named twice: C, c"),
        (["x", "c", "c"], "not in the lock file: x; named twice: c"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(names, message):
    """All that is wrong with it, at once."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        LOCK_OF.lock_of(names, LOCK)


def test_nothing_is_lost_of_the_project_s_lock_file():
    """All names give the file again but for its comments."""
    text = (ROOT / "infra" / "requirements.lock").read_text()
    made = LOCK_OF.lock_of(list(LOCK_OF.packages_of(text)), text)
    assert sorted(made.splitlines()) == sorted(line for line in text.splitlines() if not line.startswith("#"))


def test_a_mistake_ends_a_build(tmp_path):
    """Exit code 2, one paragraph on stderr, nothing on stdout."""
    (tmp_path / "names.txt").write_text("# comment\nnumpy\nno-such-package\n")
    command = [sys.executable, "infra/docker/lock_of.py", str(tmp_path / "names.txt"), "infra/requirements.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-package. Allowed: " in done.stderr and "Change: " in done.stderr and done.stderr.count("\n") == 1
    (tmp_path / "names.txt").write_text("tqdm\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("tqdm==") and done.stdout.count("--hash=") == 2
    assert subprocess.run(command[:-1], cwd=ROOT, capture_output=True).returncode == 2
