"""What killed processes left goes; what anybody may still write stays."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.storage.atomic import atomic_file, atomic_folder
from pipeline.storage.leftovers import UNTOUCHED_SECONDS, hidden_prefix, remove_leftovers

HOST = socket.gethostname()
LONG_AGO = UNTOUCHED_SECONDS + 600.0


@pytest.fixture(scope="module")
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def aged(path: Path, seconds: float) -> None:
    """Make a file, or a folder and all in it, look untouched for so long."""
    then = path.stat().st_mtime - seconds
    for one in [path, *path.rglob("*")]:
        os.utime(one, (then, then))


def left(folder: Path, name: str, seconds: float = LONG_AGO) -> Path:
    """A folder with a file in it, as a process leaves one."""
    path = folder / name
    (path / "inside").mkdir(parents=True)
    (path / "inside" / "file").write_text("half")
    aged(path, seconds)
    return path


@pytest.mark.parametrize("place", ["cache/tokens/0123", "teachers/ab", "sweeps/ab/students/cd", "cache/models"])
@pytest.mark.parametrize("name", [".packed.{host}.{pid}.0", ".packed.{host}.{pid}", ".map.{host}.{pid}.a1_b"])
def test_a_leftover_is_removed_wherever_it_lies(
    tmp_path: Path, ended: int, place: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Under the names of this version and earlier ones; the log says so."""
    caplog.set_level(logging.INFO)
    path = left(tmp_path / place, name.format(host=HOST, pid=ended))
    (tmp_path / place / "whole").mkdir()
    remove_leftovers(tmp_path)
    assert not path.exists() and f"removed {path}" in caplog.text
    assert [one.name for one in (tmp_path / place).iterdir()] == ["whole"]


def test_a_file_is_removed_like_a_folder_and_a_link_is_not_followed(tmp_path: Path, ended: int) -> None:
    """What a link leads to is somebody's."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    names = [tmp_path / f".{name}.{HOST}.{ended}.0" for name in ("file", "link")]
    names[0].write_text("half")
    names[1].symlink_to(tmp_path / "kept", target_is_directory=True)
    for path in names:
        then = path.lstat().st_mtime - LONG_AGO
        os.utime(path, (then, then), follow_symlinks=False)
    remove_leftovers(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["kept"] and (tmp_path / "kept" / "file").is_file()


KEPT: dict[str, Callable[[Path, int], Path]] = {
    "of a process that lives": lambda root, _: left(root, f".packed.{HOST}.{os.getppid()}.0"),
    "of this process": lambda root, _: left(root, f"{hidden_prefix('map')}a"),
    "of another machine": lambda root, pid: left(root, f".packed.other{HOST}.{pid}.0"),
    "of a machine whose name goes on": lambda root, pid: left(root, f".packed.{HOST}.other.{pid}.0"),
    "young": lambda root, pid: left(root, f".packed.{HOST}.{pid}.0", UNTOUCHED_SECONDS - 600.0),
    "not hidden": lambda root, pid: left(root, f"packed.{HOST}.{pid}.0"),
    "of nobody": lambda root, _: left(root, ".packed"),
    "a library's": lambda root, pid: left(root / "ray", f".packed.{HOST}.{pid}.0"),
    "inside a hidden folder of somebody else": lambda root, pid: left(root / ".git", f".packed.{HOST}.{pid}.0"),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_may_still_be_written_stays(tmp_path: Path, ended: int, what: str) -> None:
    """Whole, too."""
    path = KEPT[what](tmp_path, ended)
    remove_leftovers(tmp_path)
    assert (path / "inside" / "file").is_file()


def test_one_file_that_was_touched_keeps_the_folder(tmp_path: Path, ended: int) -> None:
    """However long ago the folder itself was."""
    path = left(tmp_path, f".packed.{HOST}.{ended}.0")
    os.utime(path / "inside" / "file")
    remove_leftovers(tmp_path)
    assert path.is_dir()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_being_written_has_a_name_that_is_found(tmp_path: Path, kind: str) -> None:
    """Of files and folders that are written whole or not at all."""
    target = tmp_path / ("name" * 20)
    with atomic_file(target) if kind == "file" else atomic_folder(target) as partial:
        prefix = hidden_prefix(("name" * 20)[:32])
        assert partial.name.startswith(prefix) and partial.name.removeprefix(prefix).isdecimal()
        partial.touch()
