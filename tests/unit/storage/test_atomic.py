"""What is written reaches the disk before its name does, and the name before anybody is told."""

import os
from pathlib import Path

import pytest

from pipeline.storage import atomic
from pipeline.storage.atomic import atomic_file, atomic_folder, atomic_text, move, set_aside


@pytest.fixture
def done(monkeypatch):
    """What was done in which order: (`flushed`, a file or folder) or (`named`, the new name)."""
    seen, replace = [], Path.replace

    def fsync(descriptor):
        seen.append(("flushed", Path(f"/proc/self/fd/{descriptor}").readlink().name))

    def renamed(source, target):
        seen.append(("named", target.name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, done):
    """Then the folder that holds the name."""
    atomic_text(tmp_path / "file", "text")
    [(what, partial), named, last] = done
    assert (what, named, last) == ("flushed", ("named", "file"), ("flushed", tmp_path.name))
    assert partial.startswith(".file.")


def test_a_folder_is_on_the_disk_with_all_it_holds(tmp_path, done):
    """Every file, every folder from the inside out, before its name; the one that was there goes away at once."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("")
    with atomic_folder(tmp_path / "made") as partial:
        (partial / "inner").mkdir()
        (partial / "a").write_text("a")
        (partial / "inner" / "b").write_text("b")
    flushed = [name for what, name in done[: done.index(("named", "made"))] if what == "flushed"]
    assert {"a", "b"} <= set(flushed[:2]) and flushed[2] == "inner" and flushed[3].startswith(".made.")
    assert done[-1] == ("flushed", tmp_path.name)
    assert [path.name for path in tmp_path.iterdir()] == ["made"] and not (tmp_path / "made" / "old").exists()


def test_a_folder_that_cannot_be_named_leaves_the_old_one(tmp_path, monkeypatch):
    """Its way to the new name fails once; the old one is put back."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("")
    calls, replace = [], Path.replace

    def failing(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no room for a name")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="no room"), atomic_folder(tmp_path / "made") as partial:
        (partial / "new").write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["made", "made/old"]


def test_a_disk_that_takes_nothing_is_an_error(tmp_path, monkeypatch):
    """And the old file stays."""
    atomic_text(tmp_path / "file", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), atomic_file(tmp_path / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("number", "stops"), [(22, False), (5, True)])
def test_a_file_system_that_cannot_flush_folders_is_no_reason_to_stop(tmp_path, monkeypatch, number, stops):
    """EINVAL is its way to say so; an error of the disk is another thing."""
    (tmp_path / "one").write_text("")

    def refuse(descriptor):
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    if stops:
        with pytest.raises(OSError, match="refused"):
            move(tmp_path / "one", tmp_path / "two")
    else:
        move(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").is_file()


def test_what_is_set_aside_keeps_its_content_and_its_kind_together(tmp_path):
    """A file or a folder, under a name of its own; of one kind the newest three stay."""
    for number in range(5):
        (tmp_path / f"step-{number}").mkdir()
        (tmp_path / f"step-{number}" / "file").write_text(str(number))
        aside = set_aside(tmp_path / f"step-{number}", like="step-")
        assert (aside.name, (aside / "file").read_text()) == (f"damaged-step-{number}", str(number))
    atomic_text(tmp_path / "file", "x")
    assert set_aside(tmp_path / "file").read_text() == "x"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"damaged-file", *(f"damaged-step-{number}" for number in (2, 3, 4))}
    assert atomic.KEPT_ASIDE == 3


def test_a_folder_that_is_removed_is_away_at_once(tmp_path, monkeypatch):
    """Whoever looks while its files go sees none of it; one that is not there is an error."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    seen, remove = [], atomic.shutil.rmtree
    monkeypatch.setattr(
        atomic.shutil, "rmtree", lambda *given, **more: (seen.append((tmp_path / "a").exists()), remove(*given, **more))
    )
    atomic.remove_folder(tmp_path / "a")
    assert seen == [False] and list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        atomic.remove_folder(tmp_path / "a")
