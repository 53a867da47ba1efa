"""Exported models made by hand, and stores of MLflow."""

import shutil

import pytest
from handmade import write_exported

from pipeline.runtime.answer import OnnxAnswerer
from pipeline.tracking.store import local_tracking_uri
from pipeline.tracking.tracker import Tracker


@pytest.fixture
def make_exported(tmp_path, tiny_tokenizer):
    """Writes the folder of an exported model: `make_exported(**changes of the manifest)`."""

    def make(name="exported", **changes):
        write_exported(tmp_path / name, tiny_tokenizer, **changes)
        return tmp_path / name

    return make


@pytest.fixture
def make_answerer(make_exported):
    """Loads one: `make_answerer(settings of the answerer, **changes of the manifest)`."""

    def make(settings=None, **changes):
        return OnnxAnswerer(make_exported(**changes), num_threads=1, **(settings or {}))

    return make


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """Making the tables takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    Tracker(local_tracking_uri(folder), "another", folder)
    return folder / "mlflow.db"


@pytest.fixture
def tracker(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    return Tracker(local_tracking_uri(tmp_path), "test", tmp_path)
