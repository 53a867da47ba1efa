"""Models and tokenizers lie in the cache as they are, under names made of their content; damaged ones are refused."""

import hashlib
from pathlib import Path

import pytest
from damage import DAMAGES, damage
from fixtures.expect import HERE

from pipeline.data.tokenise import train_tokenizer
from pipeline.export.package import load_package
from pipeline.stages.prepare_data import _keep_tokenizer, kept_model, key_of
from pipeline.storage.layout import Storage
from pipeline.storage.sealed import SEAL, DamagedFileError, sealed_folder


@pytest.fixture
def source(tmp_path):
    """A folder that a job of this project has written."""
    with sealed_folder(tmp_path / "model") as partial:
        (partial / "model.safetensors").write_bytes(bytes(1000))
        (partial / "config.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture
def storage(tmp_path):
    return Storage(root=tmp_path / "storage")


def test_a_model_is_its_files_whoever_wrote_them(source, storage):
    """With a seal or without it has one identity, so the models that earlier versions trained from stay theirs."""
    sealed = kept_model(source, storage)
    (source / SEAL).unlink()
    assert kept_model(source, storage) == sealed


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_folder_is_refused(source, storage, kind):
    """Nobody here can make it again; what was changed on purpose is taken without its seal."""
    damage(source / "model.safetensors", kind)
    with pytest.raises(DamagedFileError, match=rf"model\.safetensors.*without its {SEAL}"):
        kept_model(source, storage)
    (source / SEAL).unlink()
    assert kept_model(source, storage)[0].is_dir()


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_copy_is_made_again(source, storage, caplog, kind):
    """With a warning; a plan, which makes none, goes on with the folder itself."""
    copy, _ = kept_model(source, storage)
    damage(copy / "model.safetensors", kind)
    assert kept_model(source, storage, copies=False)[0] == source
    assert kept_model(source, storage)[0] == copy
    assert (copy / "model.safetensors").read_bytes() == bytes(1000) and "it is copied again" in caplog.text


def test_a_copy_of_a_package_is_a_package(storage):
    """Its manifest names every file, and nothing is added to them."""
    model, info = load_package(kept_model(HERE / "dq-packed-5" / "8_8_8_1", storage)[0])
    assert info.scheme.name == "8-8-8" and model.config.num_hidden_layers == 1


def test_a_tokenizer_lies_under_its_whole_identity(tmp_path: Path) -> None:
    """More than 64 bits of it; what keys say of it is what they always said."""
    tokenizer = train_tokenizer(["one text"], 300)
    folder = _keep_tokenizer(tokenizer, Storage(root=tmp_path))
    files = sorted(path for path in folder.iterdir() if path.name != SEAL)
    old = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()
    assert folder.name == f"{old[:10]}-{old[10:32]}"
    assert key_of(str(folder)) == old[:10] == key_of(tmp_path / old[:10])
    assert _keep_tokenizer(tokenizer, Storage(root=tmp_path)) == folder
