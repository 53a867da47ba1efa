"""Exported models made by hand."""

import pytest
from handmade import write_exported

from pipeline.export.runtime.answer import OnnxAnswerer


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
