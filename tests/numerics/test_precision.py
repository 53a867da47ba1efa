"""Whatever precision a model runs in, losses are computed in fp32: a sum over a vocabulary in bf16 keeps 8 bits."""

import pytest
import torch
from teachers import ADAPTERS, maps, random_teacher

from pipeline.config.changes import changed
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig, QuantizationConfig
from pipeline.data.batch import collate
from pipeline.distillation.losses_as_published import PublishedObjective
from pipeline.distillation.objective import DistillationObjective, Signals, TaskObjective, signals_of
from pipeline.models.families import family_named
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.training.loop import TokenCounts

SIGNALS = [name for name in Signals.__dataclass_fields__ if name not in ("logits", "outputs")]
LATER = {"attention_kind": "kl", "hidden_kind": "normalised", "logits_kind": "kl", "contrastive": 1.0}


class AutocastEngine:
    """A model under bf16 autocast; `to` is the type that its outputs are given to losses in, if not their own."""

    def __init__(self, module, to=None):
        self.module, self.to = module, to

    def forward(self, **inputs):
        with torch.autocast("cpu", torch.bfloat16):
            output = self.module(**inputs)
        for name, value in list(output.items()) if self.to else []:
            tensors = value if isinstance(value, tuple) else (value,)
            if value is not None and all(isinstance(tensor, torch.Tensor) for tensor in tensors):
                cast = tuple(tensor.to(self.to) for tensor in tensors)
                setattr(output, name, cast if isinstance(value, tuple) else cast[0])
        return output


def objectives(family):
    """Every objective, every kind of distance."""
    yield TaskObjective(label_smoothing=0.1)
    mine, theirs = maps(family, 0, 1)
    common = {"encoder_map": mine, "decoder_map": theirs, "label_smoothing": 0.1}
    for kinds in ({"logits_kind": "mse"}, LATER):
        weights = DistillationConfig(**kinds)
        if family.decoder is None:
            weights = changed(weights, dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")
        yield DistillationObjective(weights=weights, **common)
    if family.decoder is not None:
        yield PublishedObjective(weights=DistillationConfig(), as_released=True, **common)


@pytest.mark.parametrize("padded", [True, False])  # without a mask nothing makes BART's attention maps fp32
@pytest.mark.parametrize("scheme", ["32-32-32", "8-8-8"])
@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_losses_of_every_family_are_those_of_the_same_values_in_fp32(name, scheme, padded, make_rows):
    """All terms of all objectives, bit for bit, of students and of teachers that run in bf16."""
    family = ADAPTERS[name]
    teacher = random_teacher(family)
    student = build_student(teacher, *maps(family, 0, 1), 0.0).eval()
    prepare_student(student, scheme_of(scheme, QuantizationConfig()))
    rows = make_rows(4) if padded else make_rows(1)
    sources, labels, positions = [source for source, _ in rows], [labels for _, labels in rows], None
    if family.kind == "classifier":
        labels = [[ids[1] % teacher.config.num_labels] for ids in labels]
    if family.kind == "masked LM":
        labels, positions = [source[1:-1] for source in sources], [list(range(1, len(ids) - 1)) for ids in sources]
    batch = collate(sources, labels, 1, 2 if family.decoder else None, target_positions=positions)
    counts = TokenCounts(num_source=7.0, num_target=5.0)
    own, wide = (AutocastEngine(student, to) for to in (None, torch.float32))
    with torch.no_grad():
        shown, wider = (signals_of(AutocastEngine(teacher, to).forward, batch) for to in (None, torch.float32))
        for objective in objectives(family):
            terms, expected = objective(own, batch, shown, counts), objective(wide, batch, wider, counts)
            assert terms == expected and all(term.dtype == torch.float32 for term in terms.values())


def test_some_families_do_show_bf16():
    """Else the law above would say nothing: T5's and a classifier's logits are what a linear layer gives."""
    inputs = {"input_ids": torch.full((1, 4), 7), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    for name, more in (("t5", {"decoder_input_ids": torch.full((1, 3), 7)}), ("bert", {})):
        output = AutocastEngine(random_teacher(family_named(name))).forward(**inputs, **more)
        assert output.logits.dtype == torch.bfloat16
