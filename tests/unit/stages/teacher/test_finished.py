"""A finished teacher is used while it is what was trained; else nothing of it is, and it is trained again."""

from dataclasses import asdict

import pytest
from damage import DAMAGES, damage

from pipeline.stages.teacher.finished import BEST, CHECKPOINTS, MODEL, RESULT, TeacherResult, is_finished, is_left_whole
from pipeline.storage.atomic import atomic_json
from pipeline.storage.sealed import SEAL, sealed_folder
from pipeline.storage.sealed_json import sealed_json

FILES = [RESULT, f"{MODEL}/model.safetensors", f"{MODEL}/config.json"]


@pytest.fixture
def folder(tmp_path):
    """Of a teacher whose training has come as far as possible."""
    with sealed_folder(tmp_path / MODEL) as partial:
        (partial / "model.safetensors").write_bytes(bytes(1000))
        (partial / "config.json").write_text('{"d_model": 16}')
    sealed_json(tmp_path / BEST, {"score": 1.0, "loss": 2.0})
    scores = {"validation": {}, "scores": {"score": 1.0}, "run_id": None}
    result = TeacherResult(key="k", folder=str(tmp_path / MODEL), size_bytes=1000, **scores)
    sealed_json(tmp_path / RESULT, asdict(result))
    return tmp_path


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_whole_teacher_is_found(folder, caplog):
    """Without a word; in an empty folder there is none."""
    assert is_finished(folder) and is_left_whole(folder)
    assert not is_finished(folder / "none") and not is_left_whole(folder / "none")
    assert TeacherResult.read(folder).scores == {"score": 1.0} and not caplog.records


@pytest.mark.parametrize("kind", DAMAGES[:-1])
@pytest.mark.parametrize("name", FILES)
def test_of_a_damaged_teacher_nothing_is_used(folder, caplog, name, kind):
    """Not its best score either: an equal one would leave the damaged weights where they are."""
    damage(folder / name, kind)
    assert not is_finished(folder) and names(folder) == {MODEL, BEST, RESULT}  # looking changes nothing
    assert not is_left_whole(folder)
    assert names(folder) == {f"damaged-{one}" for one in (MODEL, BEST, RESULT)}
    assert "is trained again" in caplog.text and str(folder / name) in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize("name", [BEST, f"{MODEL}/model.safetensors"])
def test_without_its_best_model_so_far_training_starts_afresh(folder, name):
    """Epochs before the checkpoint would be missing among those that are compared."""
    (folder / RESULT).unlink()
    (folder / CHECKPOINTS).mkdir()
    assert not is_left_whole(folder) and names(folder) == {MODEL, BEST, CHECKPOINTS}
    damage(folder / name, "flipped")
    assert not is_left_whole(folder)
    assert names(folder) == {f"damaged-{one}" for one in (MODEL, BEST, CHECKPOINTS)}


def test_the_teacher_of_an_earlier_version_is_used(folder):
    """It has no digests."""
    (folder / MODEL / SEAL).unlink()
    atomic_json(folder / RESULT, asdict(TeacherResult.read(folder)))
    assert is_finished(folder) and is_left_whole(folder)
