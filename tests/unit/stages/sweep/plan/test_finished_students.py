"""A finished student is found by its run and its package; a package that has changed is one that is not there."""

import shutil
from types import SimpleNamespace

import pytest
from damage import DAMAGES, damage
from repository import ROOT

from pipeline.config.sections.sweep import StoppingConfig
from pipeline.stages.sweep.plan import finished_students as module
from pipeline.stages.sweep.plan.finished_students import students_done

PACKAGE = ROOT / "tests" / "fixtures" / "dq-packed-5" / "8_8_8_1"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """`asked(run)`: students that are done, of one whose package lies in the folder."""
    shutil.copytree(PACKAGE, tmp_path / "packed")
    plan = SimpleNamespace(key="k", name="8-8-8", packed_folder=tmp_path / "packed")
    config = SimpleNamespace(
        sweep=SimpleNamespace(stopping=StoppingConfig()), tracking=SimpleNamespace(experiment="dq-bart")
    )

    def call(run):
        monkeypatch.setattr(module, "open_tracker", lambda _: SimpleNamespace(find=lambda *_: run))
        return students_done(config, [plan], tmp_path)

    return call


FINISHED, RUNNING = (SimpleNamespace(finished=finished, stopped=None) for finished in (True, False))


def test_a_whole_package_of_a_finished_run_is_done(asked):
    """And of a run that is not finished, or that nobody knows, it is not."""
    assert asked(FINISHED) == {"k": FINISHED}
    assert asked(RUNNING) == asked(None) == {}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_package_is_set_aside_and_its_student_trained_again(asked, tmp_path, caplog, kind):
    """Its numbers in MLflow are of another one than what lies there."""
    damage(tmp_path / "packed" / "model.safetensors", kind)
    assert asked(FINISHED) == {}
    assert "student 8-8-8 is trained again" in caplog.text and "model.safetensors" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["damaged-packed"]
    assert asked(FINISHED) == {}
