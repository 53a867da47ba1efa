"""Folders of the storage are whole or absent, also when two jobs make the same one at once."""

import pytest

from pipeline.storage.layout import atomic_folder


def test_of_two_jobs_that_make_the_same_folder_the_first_one_stays(tmp_path):
    """Somebody reads it already."""
    target = tmp_path / "target"
    with atomic_folder(target) as partial:
        (partial / "file").write_text("mine")
        target.mkdir()
        (target / "file").write_text("theirs")
    assert (target / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_folder_that_was_there_is_replaced(tmp_path):
    """By a whole one; a block that fails changes nothing."""
    target = tmp_path / "target"
    for content in ("old", "new"):
        with atomic_folder(target) as partial:
            (partial / content).write_text("")
    with pytest.raises(ValueError, match="broken"), atomic_folder(target):
        raise ValueError("broken")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
