"""What is stored is whole or absent, also when two jobs make the same at once."""

import json
import threading

import pytest

from pipeline.storage.atomic import atomic_file, atomic_folder, atomic_json, atomic_text


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_of_two_jobs_that_make_the_same_folder_the_first_one_stays(tmp_path):
    """Somebody reads it already."""
    target = tmp_path / "target"
    with atomic_folder(target) as partial:
        (partial / "file").write_text("mine")
        target.mkdir()
        (target / "file").write_text("theirs")
    assert (target / "file").read_text() == "theirs"
    assert names(tmp_path) == ["target"]


def test_a_folder_that_was_there_is_replaced(tmp_path):
    """By a whole one; a block that fails changes nothing."""
    target = tmp_path / "target"
    for content in ("old", "new"):
        with atomic_folder(target) as partial:
            (partial / content).write_text("")
    with pytest.raises(ValueError, match="broken"), atomic_folder(target):
        raise ValueError("broken")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("name", ["file.txt", "n" * 255, "ü" * 127])
def test_a_file_is_its_old_self_until_it_is_its_new_one(tmp_path, name):
    """However long its name is; a block that fails leaves the old one and nothing beside it."""
    target = tmp_path / name
    atomic_text(target, "old\r\n")
    with atomic_file(target) as partial:
        partial.write_text("new")
        assert target.read_bytes() == b"old\r\n"
    with pytest.raises(ValueError, match="broken"), atomic_file(target) as partial:
        partial.write_text("half")
        raise ValueError("broken")
    assert (target.read_text(), names(tmp_path)) == ("new", [name])


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    """Else an old file would pass for a new one."""
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "old"


def test_json_makes_its_folder(tmp_path):
    """Its keys are sorted, so that equal values are equal files."""
    atomic_json(tmp_path / "new" / "a.json", {"b": 1, "a": ["ü"]})
    text = (tmp_path / "new" / "a.json").read_text()
    assert json.loads(text) == {"b": 1, "a": ["ü"]}
    assert text.index('"a"') < text.index('"b"')
    assert names(tmp_path / "new") == ["a.json"]


def test_threads_that_write_the_same_file_do_not_disturb_each_other(tmp_path):
    """Each writes a file of its own; the last one stays."""
    texts, errors = [f"{letter * 20_000}\n" for letter in "abcd"], []

    def write(text):
        try:
            for _ in range(25):
                atomic_text(tmp_path / "file", text)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, names(tmp_path)) == ([], ["file"])
    assert (tmp_path / "file").read_text() in texts
