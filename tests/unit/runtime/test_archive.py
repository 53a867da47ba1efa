"""A zip unpacks to no more than a model takes, whatever its directory says."""

import struct
import zipfile

import pytest

from pipeline.config.errors import UserError
from pipeline.runtime import archive
from pipeline.runtime.archive import opened, unpack


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


def zip_of(path, *entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def test_a_zip_that_unpacks_to_a_thousand_times_its_size_is_refused(folder, tmp_path):
    """Before anything is written; small ones may be packed as tightly as they are."""
    bomb = zip_of(tmp_path / "bomb.zip", ("weights.bin", bytes(archive.SMALL_BYTES + 1)))
    with pytest.raises(UserError, match=r"67,108,865 bytes in a file of .* no exported model.*100 times"):
        unpack(bomb, folder)
    assert not list(folder.iterdir())
    with pytest.raises(UserError, match="no exported model"), opened(bomb):
        pass
    unpack(zip_of(tmp_path / "small.zip", ("weights.bin", bytes(1 << 20))), folder)
    assert (folder / "weights.bin").read_bytes() == bytes(1 << 20)


def test_a_zip_has_a_largest_size_however_little_it_is_packed(folder, tmp_path, monkeypatch):
    """There is a largest model."""
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    unpack(zip_of(tmp_path / "whole.zip", ("a", bytes(1000)), method=zipfile.ZIP_STORED), folder)
    with pytest.raises(UserError, match="1,001 bytes in a file of"):
        unpack(zip_of(tmp_path / "large.zip", ("b", bytes(1001)), method=zipfile.ZIP_STORED), folder)


def test_a_zip_of_many_files_is_refused(folder, tmp_path):
    """Each costs time and a name on the disk."""
    many = zip_of(tmp_path / "many.zip", *((f"{n}", b"") for n in range(archive.MAX_ENTRIES + 1)))
    with pytest.raises(UserError, match=r"1,001 files, which is no exported model\. Allowed: at most 1,000"):
        unpack(many, folder)
    assert not list(folder.iterdir())


def test_a_file_twice_is_refused(folder, tmp_path):
    """The second would take the place of the first."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = zip_of(tmp_path / "twice.zip", ("a", b"one"), ("a", b"other"))
    with pytest.raises(UserError, match="two files of one name"):
        unpack(twice, folder)


def test_a_directory_that_says_less_than_there_is_gets_no_more_than_it_says(folder, tmp_path):
    """Its sizes are read before anything is unpacked, so they are held to."""
    path = zip_of(tmp_path / "liar.zip", ("a", bytes(100_000)))
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # the unpacked size in the directory
    assert struct.unpack_from("<I", content, place) == (100_000,)
    struct.pack_into("<I", content, place, 10)
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"not the .zip of an exported model|more in a than it says"):
        unpack(path, folder)
    assert all(file.stat().st_size <= 10 for file in folder.iterdir())
