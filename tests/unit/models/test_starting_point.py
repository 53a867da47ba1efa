"""What is known of a model without torch is what transformers says of it."""

import json
from typing import get_args

import pytest

from pipeline.config.errors import UserError
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.models.families import families, family_named
from pipeline.models.load import read_model_config, starting_point_of
from pipeline.models.starting_point import SETTINGS, families_of_kind, starting_point

SHAPE = ArchitectureConfig(d_model=16, num_heads=2, ffn_dim=8, encoder_layers=3, decoder_layers=2, max_positions=40)


def folder_of(path, family, **changes):
    """A model folder with the configuration of a family, and the first bytes of its weights."""
    config = family_named(family).from_scratch(SHAPE, numbered_tokenizer(300))
    config.save_pretrained(path)
    named = json.loads((path / "config.json").read_text())
    named = {key: value for key, value in (named | changes).items() if value != "absent"}
    (path / "config.json").write_text(json.dumps(named))
    (path / "model.safetensors").write_bytes(b"")
    return ModelConfig(pretrained=str(path))


@pytest.mark.parametrize("family", sorted(families()))
def test_settings_and_files_say_the_same_as_the_adapter(family, tmp_path):
    """Of a model from scratch and of a folder, for every family."""
    scratch = ModelConfig(family=family, architecture=SHAPE)
    expected = starting_point_of(read_model_config(scratch, numbered_tokenizer(300)))
    assert starting_point(scratch) == expected
    assert starting_point(folder_of(tmp_path, family)) == expected
    adapters = (family_named(family), *family_named(family).other_kinds)
    assert {one.kind for one in adapters} == {kind for kind in get_args(ModelKind) if family in families_of_kind(kind)}
    assert {one.kind == "seq2seq" for one in adapters} == {family_named(family).decoder is not None}


def test_every_family_is_known():
    """A new adapter needs its line."""
    assert set(SETTINGS) == set(families())


def test_what_a_file_leaves_to_defaults_is_not_guessed(tmp_path):
    """Nor what the hub holds: transformers says it later."""
    assert starting_point(folder_of(tmp_path, "bart", encoder_layers="absent")) is None
    assert starting_point(ModelConfig(pretrained="facebook/bart-base")) is None


@pytest.mark.parametrize(
    ("mend", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "no config.json"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "config.json").write_text("[]"), "names no model_type"),
        (
            lambda path: (path / "config.json").write_text('{"model_type": "gpt2"}'),
            "'gpt2'. Allowed: one of bart, bert",
        ),
        (lambda path: (path / "model.safetensors").unlink(), "no weights"),
        (lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin"), "only pytorch_model.bin"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_by_its_path(tmp_path, mend, message):
    """As the user wrote it."""
    model = folder_of(tmp_path, "bart")
    mend(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        starting_point(model)
    assert str(tmp_path) in str(caught.value) or "gpt2" in str(caught.value)


@pytest.mark.parametrize("name", ["/nowhere/model", "./model", "~/model", "a/b/c"])
def test_a_path_to_nothing_is_no_hub_name(name):
    """What looks like a path is one."""
    with pytest.raises(UserError, match=f"model.pretrained={name}: there is no such folder"):
        starting_point(ModelConfig(pretrained=name))


def test_another_family_than_was_said_is_refused(tmp_path):
    """`model.family` is checked where a model says its own."""
    folder = folder_of(tmp_path, "bart").pretrained
    with pytest.raises(UserError, match="is a bart model"):
        starting_point(ModelConfig(pretrained=folder, family="t5"))
