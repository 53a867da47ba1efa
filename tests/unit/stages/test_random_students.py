"""Packages of students that have learned nothing: of the shape that was asked for, and the bytes that it takes."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.export.package import file_bytes, load_package
from pipeline.models.student import sites_of
from pipeline.pruning.heads import count_heads
from pipeline.stages.random_students import random_model, write_random_package

PLAIN = QuantizationConfig()


def heads_of(folder):
    """Heads of every attention of a package."""
    model, _ = load_package(folder)
    return [count_heads(model, site) for site in sites_of(model).attentions]


@pytest.mark.parametrize(("part", "kept"), [(1.0, 4), (0.5, 2), (0.25, 1), (0.01, 1)])
def test_a_student_has_the_layers_and_heads_that_were_asked_for(tiny_teacher, tmp_path, part, kept):
    """Every attention keeps as many, one at least; what is on the disk is what is told; the teacher stays as it is."""
    before = {name: tensor.clone() for name, tensor in tiny_teacher.state_dict().items()}
    num_bytes = write_random_package(tmp_path, tiny_teacher, ([0, 1, 2], [2]), "2-2-8", PLAIN, 32, heads=part)
    assert num_bytes == file_bytes(tmp_path)
    _, info = load_package(tmp_path)
    assert (info.encoder_map, info.decoder_map, info.scheme.name) == ([0, 1, 2], [2], "2-2-8")
    assert heads_of(tmp_path) == [kept] * 5
    assert all(tensor.equal(before[name]) for name, tensor in tiny_teacher.state_dict().items())


def test_a_part_of_the_heads_that_is_no_whole_number_is_spread_evenly(tiny_teacher, tmp_path):
    """As many in all as a sweep keeps, and no attention has two more than another."""
    write_random_package(tmp_path, tiny_teacher, ([0, 1, 2], [2]), "8-8-8", PLAIN, 32, heads=0.55)
    counts = heads_of(tmp_path)
    assert (sum(counts), max(counts) - min(counts)) == (11, 1)


def test_bits_of_single_modules_are_packed(tiny_teacher, tmp_path):
    """And cost bytes."""
    mixed, maps = QuantizationConfig(bits=["model.encoder.layers.0.*=8"]), ([0, 2], [2])
    fewer = write_random_package(tmp_path / "plain", tiny_teacher, maps, "2-2-8", PLAIN, 32)
    more = write_random_package(tmp_path / "mixed", tiny_teacher, maps, "2-2-8", mixed, 32)
    packed = json.loads((tmp_path / "mixed" / "manifest.json").read_text())["packed"]
    assert {packed[name]["bits"] for name in packed if name.startswith("model.encoder.layers.0.")} == {8}
    assert {packed[name]["bits"] for name in packed if name.startswith("model.encoder.layers.1.")} == {2}
    assert more > fewer


@pytest.mark.parametrize("family", ["bert", "roberta", "bart"])
def test_a_model_from_scratch_has_its_shape_and_no_two_tensors_alike(tmp_path, family):
    """Not even biases, so that none is stored once for several."""
    shape = ArchitectureConfig(
        d_model=16, ffn_dim=24, num_heads=2, encoder_layers=3, decoder_layers=2, max_positions=32
    )
    model = random_model(ModelConfig(family=family, vocab_size=300, architecture=shape), 0)
    tensors = [parameter.flatten().tolist() for parameter in model.parameters()]
    assert len({tuple(tensor) for tensor in tensors}) == len(tensors)
    maps = ([0, 1, 2], [0, 1] if family == "bart" else [])
    write_random_package(tmp_path, model, maps, "32-32-32", PLAIN, 32)
    packed, _ = load_package(tmp_path)
    assert all(tensor.equal(model.state_dict()[name]) for name, tensor in packed.state_dict().items())
    again = random_model(ModelConfig(family=family, vocab_size=300, architecture=shape), 0)
    assert all(tensor.equal(again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_part_that_is_none_is_refused(tiny_teacher, tmp_path):
    """Before anything is written."""
    with pytest.raises(UserError, match="0 of the heads to keep"):
        write_random_package(tmp_path / "one", tiny_teacher, ([0], [0]), "8-8-8", PLAIN, 32, heads=0)
    assert list(tmp_path.iterdir()) == []
