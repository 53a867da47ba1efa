"""What candidates cost is what the models that are built of them have."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BartConfig

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.sweep import StudentConfig
from pipeline.models.teacher_shape import teacher_shape
from pipeline.stages.random_students import cut_student, random_weights
from pipeline.stages.search import costs as module
from pipeline.stages.search.costs import _student_costs, packed_bytes
from pipeline.stages.search.space import Point

BART = BartConfig(
    vocab_size=50,
    d_model=16,
    encoder_layers=3,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=8,
    decoder_ffn_dim=8,
    max_position_embeddings=16,
    attn_implementation="eager",
)


def costs(heads):
    """Of a student of all layers that keeps a part of the heads."""
    student = StudentConfig(scheme="2-2-8", depth="3-2", heads=heads)
    job, point = SimpleNamespace(config=OseSearchJob()), Point(name="one", student=student)
    return _student_costs(job, point, teacher_shape(BART), (9, 4), 1)


@pytest.mark.parametrize("heads", [1.0, 0.75, 0.6, 0.5, 0.3, 0.01])
def test_a_student_with_heads_removed_costs_what_the_built_model_has(heads):
    """Also where the part of the heads does not divide evenly over the attentions, or is less than one of each."""
    built, _ = cut_student(random_weights(BART), ([0, 1, 2], [0, 1]), heads)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(input_ids=torch.full((1, 9), 3), decoder_input_ids=torch.full((1, 4), 3), use_cache=False)
    found = costs(heads)
    assert found.parameters.total == sum(one.numel() for one in built.parameters())
    assert found.operations.products.total == counter.get_total_flops()


@pytest.fixture
def counted(monkeypatch):
    """Names of the students whose bytes are counted, in their order; each takes 7."""
    found = []

    class Packages:
        """Knows names alone."""

        def __init__(self, job):
            pass

        def key(self, point):
            return f"key of {point.name}"

        def num_bytes(self, point):
            found.append(point.name)
            return 7

    monkeypatch.setattr(module, "CandidatePackages", Packages)
    return found


def test_bytes_are_counted_once_for_every_format_of_packages(counted, monkeypatch, tmp_path):
    """Those of an earlier format stay where they are and are not taken for this one's."""
    job = SimpleNamespace(storage=SimpleNamespace(cache=tmp_path))
    points = [Point(name=name) for name in ("one", "two")]
    for _ in range(2):
        assert packed_bytes(job, points) == {"one": 7, "two": 7}
        assert counted == ["one", "two"]
    monkeypatch.setattr(module, "FORMAT", "dq-packed/99")
    assert packed_bytes(job, points[:1]) == {"one": 7} and counted == ["one", "two", "one"]
