"""Spaces that settings describe: every point once, and what cannot be a point is refused with its key."""

import pytest

from pipeline.config.build import build
from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.search_space import ModelSpaceConfig, StudentSpaceConfig, architecture_of

BERT = {
    "encoder_layers": [2, 4, 6, 8, 10, 12],
    "decoder_layers": [],
    "heads": [4, 8, 12, 16],
    "hidden": [512, 768, 1024],
    "intermediate": [256, 512, 768, 1024, 3072],
}


def test_students_are_all_combinations_once():
    """In the order of the lists; per-module bits are an axis like the others."""
    space = build(StudentSpaceConfig, {"bits": {"": [], "ends": ["*.0.*=8"]}, "heads": [1.0, 0.5]})
    names = [student.name for student in space.points()]
    assert len(set(names)) == len(names) == 2 * 2 * 2 * 4 * 2
    assert names[:2] == ["8-8-8 6-3", "8-8-8 6-3 ends"]
    assert space.points()[1].recipe == {"quantization": {"bits": ["*.0.*=8"]}}


def test_an_encoder_alone_has_one_depth():
    """An empty list of decoder layers is no axis."""
    space = build(StudentSpaceConfig, {"encoder_layers": [2], "decoder_layers": []})
    assert {student.depth for student in space.points()} == {"2"}


def test_the_published_space_has_300_points():
    """Of 360 combinations, 60 have 12 heads in a width that they do not divide."""
    points = build(ModelSpaceConfig, BERT).points()
    assert len(points) == 300 and {"encoder_layers": 4, "heads": 8, "hidden": 1024, "intermediate": 768} in points


def test_a_point_is_an_architecture_with_the_rest_of_the_model():
    """Positions and initialisation are not searched."""
    base = ArchitectureConfig(max_positions=99, init_std=0.5)
    made = architecture_of({"encoder_layers": 4, "heads": 8, "hidden": 64, "intermediate": 32}, base)
    assert (made.encoder_layers, made.num_heads, made.d_model, made.ffn_dim) == (4, 8, 64, 32)
    assert (made.max_positions, made.init_std, made.decoder_layers) == (99, 0.5, base.decoder_layers)


BAD = [
    ({"students": {"encoder_layers": []}}, "search.students.encoder_layers=[] is empty"),
    ({"students": {"weight_bits": [5]}}, "5 weight bits"),
    ({"students": {"heads": [0.5, 0.5]}}, "no list of distinct numbers"),
    ({"students": {"heads": [1.5]}}, "heads=1.5"),
    ({"models": {"heads": [3]}}, "3 heads, which divide none of the widths"),
    ({"models": {"hidden": []}}, "search.models.hidden=[] is empty"),
    ({"models": {"maximum": {"heads": 2}}}, "search.models.maximum={'heads': 2}"),
    ({"models": {"named": {"x": {**dict.fromkeys(BERT, 3), "hidden": 4}}}}, "3 heads in a width of 4"),
    ({"eps": 0}, "eps"),
    ({"steps": [0]}, "search.steps=[0]"),
    ({"steps": []}, "search.steps=[]"),
    ({"steps": [3, 3]}, "rising"),
    ({"rule": "halving"}, "search.rule=halving with search.steps=[3]"),
    ({"keep": 0.0}, "search.keep=0"),
    ({"seeds": [1, 1]}, "distinct"),
    ({"name": "../x"}, "search.name='../x'"),
    ({"max_mib": 0.0}, "search.max_mib=0.0"),
    ({"max_ms": 5.0}, "search.latency.max_measured=0"),
    ({"inference": "latency_ms"}, "search.inference=latency_ms with search.latency.max_measured=0"),
    ({"latency": {"max_measured": 1}}, "max_measured=1"),
    ({"mixed": {"bits": [8, 8]}}, "search.mixed.bits"),
]


@pytest.mark.parametrize(("settings", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_no_space_is_refused_with_its_key(settings, said):
    """Before anything is imported that takes seconds."""
    with pytest.raises(UserError) as caught:
        build(SearchConfig, settings, "search")
    assert said in str(caught.value)


def test_limits_have_the_units_of_costs():
    """MiB are bytes there."""
    search = build(SearchConfig, {"max_mib": 0.5, "max_ms": 3.0, "latency": {"max_measured": 4}}, "search")
    assert search.limits == {"size_bytes": 2**19, "latency_ms": 3.0}
