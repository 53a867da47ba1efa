"""A sealed folder is what was written, or is refused by name; what an earlier version left is sealed when it is met."""

import json
import pickle

import pytest
from damage import DAMAGES, damage

from pipeline.config.errors import UserError
from pipeline.storage import sealed
from pipeline.storage.sealed import SEAL, DamagedFileError, check_folder, is_whole, read_seal, sealed_folder

FILES = ["weights", "inner/numbers", SEAL]


@pytest.fixture
def folder(tmp_path):
    """A sealed folder of two files."""
    with sealed_folder(tmp_path / "made") as partial:
        (partial / "inner").mkdir()
        (partial / "weights").write_bytes(bytes(range(256)))
        (partial / "inner" / "numbers").write_text("1 2 3")
    return tmp_path / "made"


def test_a_seal_lists_every_file_and_who_wrote_them(folder):
    """Its own folders, too; the form is that of other programs to read."""
    seal = json.loads((folder / SEAL).read_text())
    assert (seal["format"], set(seal["sha256"])) == ("dq-sealed/1", {"weights", "inner/numbers"})
    assert seal["written_by"].startswith("dq-pipeline ")
    check_folder(folder)
    assert read_seal(folder) == seal["sha256"]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_told_by_name(folder, name, kind):
    """Also after the folder was found whole: it is read again when sizes or times change."""
    check_folder(folder)
    damage(folder / name, kind)
    if (name, kind) == (SEAL, "missing"):
        assert not sealed.is_sealed(folder)
    else:
        with pytest.raises(DamagedFileError) as error:
            check_folder(folder)
        assert error.value.file == folder / name and str(folder / name) in str(error.value)


def test_every_bit_of_a_seal_counts(folder):
    """A turned letter of a name, a digest or who wrote it, and the brackets between."""
    whole = (folder / SEAL).read_bytes()
    values = [json.loads(whole)]
    for place in range(0, 8 * len(whole), 7):
        damage(folder / SEAL, "flipped", place)
        try:
            read_seal(folder)
        except DamagedFileError:
            pass
        else:  # a blank or the case of an exponent: it says the same
            values.append(json.loads((folder / SEAL).read_bytes()))
        (folder / SEAL).write_bytes(whole)
    assert all(value == values[0] for value in values)


def test_a_file_that_is_not_listed_is_damage(folder):
    """It could change what a library reads."""
    (folder / "inner" / "more.json").write_text("{}")
    with pytest.raises(DamagedFileError, match=r"more\.json"):
        check_folder(folder)


def test_a_folder_of_another_format_is_refused(folder):
    """With the one that this version reads."""
    (folder / SEAL).write_text((folder / SEAL).read_text().replace("dq-sealed/1", "dq-sealed/2"))
    with pytest.raises(DamagedFileError, match=r"dq-sealed/2.*Allowed: format dq-sealed/1"):
        read_seal(folder)


def test_a_damaged_folder_is_set_aside_with_a_warning(folder, caplog):
    """It names the file, what was expected, what was found and what happens; many do not gather."""
    for _ in range(5):
        damage(folder / "weights", "flipped")
        assert not is_whole(folder, "it is made again")
        assert not folder.exists()
        with sealed_folder(folder) as partial:
            (partial / "weights").write_text("again")
    said = caplog.records[0].message
    assert all(word in said for word in (str(folder / "weights"), "expected SHA-256", "found SHA-256", "made again"))
    assert len(caplog.records) == 5 and is_whole(folder, "")
    assert len(list(folder.parent.glob("damaged-made*"))) == 3


def test_what_an_earlier_version_left_is_used_and_sealed(tmp_path, caplog):
    """Said once; from then on damage is noticed."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "weights").write_text("numbers")
    assert is_whole(tmp_path / "old", "made again") and is_whole(tmp_path / "old", "made again")
    assert len(caplog.records) == 1 and "earlier version" in caplog.records[0].message
    damage(tmp_path / "old" / "weights", "flipped")
    assert not is_whole(tmp_path / "old", "made again")
    assert not is_whole(tmp_path / "none", "made again") and len(caplog.records) == 2


def test_a_large_folder_is_read_once_in_a_process(folder, monkeypatch):
    """As long as sizes and times stay; a file that is replaced is read again."""
    read = []
    monkeypatch.setattr(sealed, "check_file", lambda *arguments: read.append(arguments[1]))
    check_folder(folder)
    check_folder(folder)
    assert sorted(read) == ["inner/numbers", "weights"]
    (folder / "weights").write_text("another")
    check_folder(folder)
    assert len(read) == 4


def test_damage_is_a_mistake_that_travels_between_processes(folder):
    """A worker tells the driver, which prints one paragraph."""
    damage(folder / "weights", "cut")
    with pytest.raises(UserError) as error:
        check_folder(folder)
    again = pickle.loads(pickle.dumps(error.value))
    assert (str(again), again.file) == (str(error.value), error.value.file)


def test_what_cannot_be_read_is_damage(folder, tmp_path, caplog):
    """Such as a link to nothing: sealed or not, and never a traceback."""
    (folder / "weights").unlink()
    (folder / "weights").symlink_to(tmp_path / "nothing")
    with pytest.raises(DamagedFileError) as damaged:
        check_folder(folder)
    assert damaged.value.file == folder / "weights"
    (folder / SEAL).unlink()
    assert not is_whole(folder, "made again") and "weights is damaged" in caplog.text
