"""The heads that were chosen for a student are those that it keeps."""

import pytest
import torch
from damage import DAMAGES, damage

from pipeline.stages.sweep.student.start_folder import (
    HEADS,
    WEIGHTS,
    has_heads,
    read_failure,
    read_heads,
    write_failure,
    write_start,
)
from pipeline.storage.sealed import SEAL, DamagedFileError

KEPT = {"encoder.0": [0, 2]}


@pytest.fixture
def folder(tmp_path):
    """Of a student whose gates were trained."""
    write_start(tmp_path / "start", KEPT, {"weight": torch.ones(100)})
    return tmp_path / "start"


def test_what_was_chosen_is_read(folder):
    """Of a student that keeps all heads there is nothing."""
    assert has_heads(folder) and read_heads(folder) == KEPT and read_failure(folder) is None
    assert not has_heads(folder / "none") and read_heads(folder / "none") == {}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", [HEADS, WEIGHTS])
def test_damaged_heads_are_refused_by_workers_and_chosen_again_by_the_job(folder, caplog, name, kind):
    """The job warns; the damaged choice is kept beside."""
    damage(folder / name, kind)
    with pytest.raises(DamagedFileError):
        read_heads(folder)
    assert not has_heads(folder) and "its heads are chosen again" in caplog.text
    assert (folder.parent / "damaged-start").is_dir() and not folder.exists()


def test_heads_of_an_earlier_version_are_used(folder, caplog):
    """They get a seal, with a word."""
    (folder / SEAL).unlink()
    assert has_heads(folder) and read_heads(folder) == KEPT and "earlier version" in caplog.text


def test_why_gates_failed_is_read_and_tried_again(folder):
    """It takes the place of an earlier choice."""
    write_failure(folder, "nan at step 3")
    assert not has_heads(folder) and read_failure(folder) == "gates: nan at step 3"
