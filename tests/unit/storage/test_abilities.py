"""What a file system cannot do is said at the start, by name; what it can leaves nothing behind."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.config.errors import UserError
from pipeline.storage import abilities
from pipeline.storage.abilities import check_abilities, mounted_kind
from pipeline.storage.layout import open_storage


def test_an_ordinary_folder_can_be_a_storage(tmp_path):
    """Nothing of the trial stays in it."""
    check_abilities(tmp_path)
    assert list(tmp_path.iterdir()) == []


def cannot(number):
    """A call that the file system does not know."""

    def call(*_, **__):
        raise OSError(number, os.strerror(number))

    return call


def copies(source, target):
    """Names as mounts of object stores give them: by a copy, while the old one stays."""
    Path(target).write_bytes(Path(source).read_bytes())


OPEN = Path.open


def opens_all(path, mode="r", *options, **more):
    """Everybody who creates a file gets it."""
    return OPEN(path, mode.replace("x", "w"), *options, **more)


UNABLE = {
    "exclusive creation": (Path, "open", opens_all, "cannot let one of several create a file"),
    "renaming": (abilities, "move", cannot(errno.ENOSYS), "cannot let a file take the place of another"),
    "renaming at once": (abilities, "move", copies, "cannot let a file take the place of another"),
    "changes in place": (os, "truncate", cannot(errno.ENOTSUP), "cannot let a file grow and shrink"),
    "times": (os, "utime", lambda *_: None, "cannot tell when a file was touched"),
}


@pytest.mark.parametrize("case", UNABLE)
def test_a_file_system_that_lacks_an_ability_is_refused(case, tmp_path, monkeypatch):
    """With what it is, and with where artifacts may lie."""
    module, name, replacement, said = UNABLE[case]
    monkeypatch.setattr(module, name, replacement)
    with pytest.raises(UserError) as error:
        check_abilities(tmp_path)
    monkeypatch.undo()
    assert said in str(error.value) and "behind MLflow's server" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_no_lack_of_an_ability(tmp_path, monkeypatch):
    """It is told as what it is."""
    monkeypatch.setattr(abilities, "move", cannot(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        check_abilities(tmp_path)


MOUNTS = """\
/dev/sda / ext4 rw 0 0
mountpoint-s3 {0}/bucket fuse rw 0 0
server:/files {0}/bucket/nested nfs4 rw 0 0
s3fs {0}/with\\040späce fuse.s3fs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("disk", "ext4 /dev/sda"),
        ("bucket/a/b", "fuse mountpoint-s3"),
        ("buckets", "ext4 /dev/sda"),
        ("bucket/nested", "nfs4 server:/files"),
        ("with späce", "fuse.s3fs s3fs"),
    ],
)
def test_the_innermost_mount_counts(folder, kind, tmp_path):
    """By folders, not by how names begin."""
    (tmp_path / "mounts").write_text(MOUNTS.format(tmp_path))
    assert mounted_kind(tmp_path / folder, tmp_path / "mounts") == kind
    assert mounted_kind(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize("kind", ["fuse.gcsfuse bucket", "fuse mountpoint-s3", "fuse.rclone r:b"])
def test_a_mount_of_an_object_store_is_refused_by_its_name(kind, tmp_path, monkeypatch):
    """Though everything works on one machine."""
    monkeypatch.setattr(abilities, "mounted_kind", lambda _: kind)
    with pytest.raises(UserError, match="a mount of an object store"):
        open_storage(str(tmp_path / "storage"))


@pytest.mark.parametrize("kind", ["nfs4 nas:/rclone-backups", "fuse.sshfs host:/s3fs", "ext4 /dev/mapper/goofys", None])
def test_others_are_not_refused_for_their_names(kind, tmp_path, monkeypatch):
    """Only what mounts counts, not what is called so."""
    monkeypatch.setattr(abilities, "mounted_kind", lambda _: kind)
    check_abilities(tmp_path)
