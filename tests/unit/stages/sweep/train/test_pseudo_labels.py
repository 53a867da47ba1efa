"""The teacher's texts are asked for once, and again when they are no longer what it wrote."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from damage import DAMAGES, damage

from pipeline.config.sections.recipe import SequenceConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.stages.sweep.train import pseudo_labels
from pipeline.storage.sealed import sealed_folder
from pipeline.storage.sealed_json import sealed_json


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Runs the stage with a teacher that writes a file: `ask() -> (folder, how often it was asked in all)`."""
    asked = []

    def write(worker, work, *arguments, **options):
        asked.append(work)
        with sealed_folder(work.folder / "train") as partial:
            (partial / "data.arrow").write_bytes(bytes(100))

    monkeypatch.setattr(pseudo_labels, "run_workers", write)
    job = SimpleNamespace(
        config=SimpleNamespace(task=TaskConfig(name="t"), cluster=None),
        task=SimpleNamespace(tokens_folder="tokens/key"),
        storage=SimpleNamespace(cache=tmp_path, root=tmp_path),
    )
    teacher = SimpleNamespace(key="k", folder="teacher")
    return lambda: (pseudo_labels.run(job, teacher, SequenceConfig(kind="teacher")), len(asked))


def test_texts_are_asked_for_once(ask):
    """And found afterwards."""
    assert [ask()[1] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_texts_are_asked_for_again(ask, caplog, kind):
    """With a warning."""
    folder, _ = ask()
    damage(folder / "train" / "data.arrow", kind)
    assert ask() == (folder, 2) and ask() == (folder, 2)
    assert "the teacher writes them again" in caplog.text and (folder / "damaged-train").is_dir()


def test_a_damaged_chunk_is_written_again(tmp_path):
    """Of an interrupted job, those that are whole stay."""
    chunks = [tmp_path / f"{number}.json" for number in range(3)]
    for path in chunks[:2]:
        sealed_json(path, [{"text": "a text", "by_teacher": True, "similarity": 50.0}])
    damage(chunks[0], "flipped")
    assert list(map(Path, pseudo_labels._missing(chunks))) == [chunks[0], chunks[2]]
