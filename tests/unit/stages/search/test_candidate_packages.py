"""Candidates as packages: of the shape that was asked for, and the bytes that it takes."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.export.package import file_bytes, load_package
from pipeline.models.student import sites_of
from pipeline.pruning.heads import count_heads
from pipeline.search.sizes import EncoderEnds, encoder_parameters
from pipeline.search.space import EncoderArchitecture
from pipeline.stages.search.candidate_packages import write_encoder_package, write_student_package

RECIPE = RecipeConfig()


@pytest.mark.parametrize(("part", "kept"), [(1.0, 4), (0.5, 2), (0.25, 1)])
def test_a_student_has_the_layers_and_heads_that_were_asked_for(tiny_teacher, tmp_path, part, kept):
    """Every attention keeps as many; what is on the disk is what is told."""
    before = {name: tensor.clone() for name, tensor in tiny_teacher.state_dict().items()}
    student = StudentConfig(scheme="2-2-8", depth="3-1", heads=part)
    num_bytes = write_student_package(tmp_path / "one", tiny_teacher, student, RECIPE, 32)
    assert num_bytes == file_bytes(tmp_path / "one")
    model, info = load_package(tmp_path / "one")
    assert (info.encoder_map, info.decoder_map, info.scheme.name) == ([0, 1, 2], [2], "2-2-8")
    sites = sites_of(model)
    assert {count_heads(model, site) for site in sites.attentions} == {kept} and len(sites.attentions) == 5
    assert all(tensor.equal(before[name]) for name, tensor in tiny_teacher.state_dict().items())


def test_a_part_of_the_heads_that_is_no_whole_number_is_spread_evenly(tiny_teacher, tmp_path):
    """As many in all as a sweep keeps, and no attention has two more than another."""
    student = StudentConfig(scheme="8-8-8", depth="3-1", heads=0.55)
    write_student_package(tmp_path / "one", tiny_teacher, student, RECIPE, 32)
    model, _ = load_package(tmp_path / "one")
    counts = [count_heads(model, site) for site in sites_of(model).attentions]
    assert (sum(counts), max(counts) - min(counts)) == (11, 1)


def test_bits_of_single_modules_are_packed(tiny_teacher, tmp_path):
    """And cost bytes."""
    plain = StudentConfig(scheme="2-2-8", depth="2-1")
    mixed = StudentConfig(
        scheme="2-2-8", depth="2-1", label="mixed", recipe={"quantization": {"bits": ["model.encoder.layers.0.*=8"]}}
    )
    fewer = write_student_package(tmp_path / "plain", tiny_teacher, plain, RECIPE, 32)
    more = write_student_package(tmp_path / "mixed", tiny_teacher, mixed, RECIPE, 32)
    packed = json.loads((tmp_path / "mixed" / "manifest.json").read_text())["packed"]
    assert {packed[name]["bits"] for name in packed if name.startswith("model.encoder.layers.0.")} == {8}
    assert {packed[name]["bits"] for name in packed if name.startswith("model.encoder.layers.1.")} == {2}
    assert more > fewer


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_encoder_has_the_parameters_of_the_closed_form(tmp_path, family):
    """Beside the head of two labels; RoBERTa has another head, and one token type."""
    shape = EncoderArchitecture(layers=3, heads=2, hidden=16, intermediate=24)
    write_encoder_package(tmp_path / "one", shape, RECIPE, family=family, vocab_size=300, max_positions=32)
    model, info = load_package(tmp_path / "one")
    roberta = family == "roberta"
    ends = EncoderEnds(vocabulary=300, positions=34 if roberta else 32, token_types=1 if roberta else 2, pooler=False)
    head = 2 * 16 + 2 + 16 * 16 + 16  # of RoBERTa the dense layer is the classifier's, of BERT the pooler's
    assert sum(parameter.numel() for parameter in model.parameters()) == encoder_parameters(shape, ends).total + head
    assert info.scheme.name == "32-32-32"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"depth": "4-1"}, "4 student layers for a teacher of 3"), ({"depth": "1"}, "with decoder")],
    ids=["too deep", "no decoder"],
)
def test_a_student_that_cannot_be_cut_leaves_nothing(tiny_teacher, tmp_path, changes, message):
    """Neither a package nor a part of one."""
    with pytest.raises(UserError, match=message):
        write_student_package(tmp_path / "one", tiny_teacher, StudentConfig(**changes), RECIPE, 32)
    assert list(tmp_path.iterdir()) == []
