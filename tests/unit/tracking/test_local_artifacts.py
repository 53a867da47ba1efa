"""What MLflow calls finished lies on the disk; what lies elsewhere is not looked at."""

import pytest

from pipeline.storage import atomic
from pipeline.tracking.local_artifacts import flush_artifacts, local_folder
from pipeline.tracking.tracker import RunSpec


@pytest.fixture
def flushed(monkeypatch):
    """Paths that were waited for, in their order."""
    seen, file, folder = [], atomic.flush_file, atomic.flush_folder
    monkeypatch.setattr(atomic, "flush_file", lambda path: (seen.append(path), file(path)))
    monkeypatch.setattr(atomic, "flush_folder", lambda path: (seen.append(path), folder(path)))
    return seen


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_files_are_flushed_before_the_folders_that_name_them(tmp_path, flushed, address):
    """Whichever way MLflow writes the address; signs that it escapes are read."""
    folder = tmp_path / "a run" / "artifacts"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "x").write_text("x")
    text = str(folder).replace(" ", "%20") if "file" in address else str(folder)
    flush_artifacts(address.format(text))
    assert flushed == [folder / "inner" / "x", folder / "inner", folder]


@pytest.mark.parametrize("address", ["mlflow-artifacts:/1/2", "s3://bucket/1", "https://host/1"])
def test_what_lies_elsewhere_is_not_a_folder_here(address, flushed):
    """A server flushes what it keeps."""
    assert local_folder(address) is None
    flush_artifacts(address)
    assert flushed == []


def test_a_run_is_finished_when_its_artifacts_are_on_the_disk(tracker, tmp_path, monkeypatch):
    """And not before."""
    order = []
    monkeypatch.setattr("pipeline.tracking.run.flush_artifacts", lambda address: order.append(address))
    (tmp_path / "x.txt").write_text("x")
    with tracker.start(RunSpec(name="r", key="r", kind="sweep", params={})) as run:
        run.artifacts(tmp_path / "x.txt")
        end = run.client.set_terminated
        monkeypatch.setattr(run.client, "set_terminated", lambda *a, **k: (order.append("ended"), end(*a, **k)))
    assert order == [tracker.client.get_run(run.run_id).info.artifact_uri, "ended"]
