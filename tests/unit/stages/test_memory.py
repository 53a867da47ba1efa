"""What a worker will need is estimated before anything runs: held against counted tensors, sane for large models."""

import weakref
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from teachers import ADAPTERS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import BartConfig, MBartConfig, T5Config

from pipeline.config.changes import changed
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.recipe import DECODER_TERMS, LAYER_TERMS, DistillationConfig, QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import collate
from pipeline.distillation.objective import DistillationObjective, TaskObjective
from pipeline.evaluation.predict import token_scores
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.memory import (
    COPY_BYTES,
    GRADIENT_BYTES,
    GRID_BYTES,
    LOGIT_BYTES,
    MAP_BYTES,
    MicroBatch,
    cohort_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    quantizing_bytes,
    work_of,
)
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import TokenCounts

GIB = 2**30
SHAPES = [
    (2, 3, 2, 100, 40, 1200),
    (4, 1, 4, 64, 16, 300),
    (8, 2, 3, 128, 24, 800),
    (2, 2, 8, 24, 30, 2000),
]  # heads, layers, rows, source and target tokens, vocabulary


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made inside that are still there, and their peak."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.known:
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _gone(self, key, num_bytes):
        self.known.discard(key)
        self.now -= num_bytes


class Words:
    bos_token_id, pad_token_id, eos_token_id = 0, 1, 2

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


def counted_and_estimated(name, kind, precision, heads, layers, rows, source, target, vocabulary):
    """Peak bytes of one forward and backward pass of a model that learns from a teacher twice as deep, or alone."""
    family = ADAPTERS[name]
    architecture = ArchitectureConfig(
        d_model=64, ffn_dim=256, num_heads=heads, encoder_layers=2 * layers, decoder_layers=2 * layers
    )
    config = family.from_scratch(architecture, Words(vocabulary))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    teacher = family.model_class(config).eval().requires_grad_(False)
    maps = list(range(layers)), list(range(layers)) if family.decoder else []
    student = build_student(teacher, *maps, 0.1).requires_grad_(True).train()
    weights = changed(DistillationConfig(), dict.fromkeys(LAYER_TERMS, 0.0), "recipe.distillation")
    if kind == "alone":
        objective, work_of_teacher, grid = TaskObjective(), None, 0
    else:
        prepare_student(student, scheme_of("2-2-8", QuantizationConfig()))
        if kind == "layers":
            weights = DistillationConfig()
            if family.decoder is None:
                weights = changed(weights, dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")
        objective = DistillationObjective(weights=weights, encoder_map=maps[0], decoder_map=maps[1])
        work_of_teacher, grid = work_of(teacher.config), GRID_BYTES
    asks_tokens = family.lm_head is not None
    target = target if asks_tokens else 1
    lengths = [(source, target)] * (rows - 1) + [(source - 1, max(1, target - 1))]  # padding: there is a mask
    places = [[i % s for i in range(t)] for s, t in lengths] if asks_tokens and not family.decoder else None
    rows_and_labels = [[5] * s for s, _ in lengths], [[0] * t for _, t in lengths]
    batch = collate(*rows_and_labels, 1, 2 if family.decoder else None, target_positions=places)
    engine = TorchEngine(student, torch.optim.AdamW(student.parameters()), precision=precision, max_gradient_norm=1.0)
    with LiveBytes() as live:
        signals = teacher_pass(teacher, [objective], precision)(batch) if kind != "alone" else None
        counts = TokenCounts(num_source=1.0, num_target=1.0)
        engine.backward(sum(objective(engine, batch, signals, counts).values()))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (student, teacher)]
    shape = MicroBatch(num_rows=rows, num_source=source, num_target=target)
    estimate = pass_bytes(
        work_of(teacher.config, (layers, layers)),
        [shape],
        work_of_teacher,
        compares_attention=weights.compares_attention,
    )
    return live.peak, estimate + (grid + GRADIENT_BYTES) * sizes[0] + COPY_BYTES * max(sizes)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("kind", ["alone", "layers", "logits"])
@pytest.mark.parametrize("name", ["bart", "t5", "bert", "bert as a masked LM"])
def test_a_pass_keeps_no_more_than_is_estimated_and_no_less_than_half(name, kind, precision):
    """Long sources, many heads, short rows and large vocabularies: each has its term."""
    for shape in SHAPES:
        counted, estimated = counted_and_estimated(name, kind, precision, *shape)
        assert counted < estimated < 2.5 * counted, (shape, estimated / counted)


def large(config):
    """(parameters, work) of a model of a configuration."""
    return num_parameters(config), work_of(config)


def job(**train):
    """Eight GPUs at their defaults, but for these settings of training."""
    settings = TrainConfig(**train)
    return SweepJob(cluster=ClusterConfig(num_workers=8, gpus_per_worker=1), student=settings, teacher=settings)


MODELS = {
    "bart-large": BartConfig(),
    "mbart-large": MBartConfig(vocab_size=250027, tie_word_embeddings=True),
    "t5-3b": T5Config(d_model=1024, d_ff=16384, d_kv=128, num_heads=32, num_layers=24),
}
LENGTHS = {"bart-large": [(1024, 128)] * 400, "mbart-large": [(96, 96)] * 4000, "t5-3b": [(1024, 128)] * 400}


@pytest.mark.parametrize(
    ("name", "batch_tokens", "least", "most"),
    [
        ("bart-large", 8192, 9, 30),  # one row a rank
        ("bart-large", 131072, 40, 80),  # seven rows: maps of 2 x 24 layers
        ("mbart-large", 8192, 12, 72),
        ("mbart-large", 131072, 30, 72),  # 250,027 logits of half of 8,192 tokens
        ("t5-3b", 8192, 80, 140),
        ("t5-3b", 131072, 200, 400),
    ],
)
def test_large_models_are_neither_refused_nor_waved_through(name, batch_tokens, least, most):
    """In GiB of a worker of cluster=gpu8 with a student of all layers; 72 of a GPU of 80 are for a job."""
    config = job(batch_tokens=batch_tokens)
    num, work = large(MODELS[name])
    batches = micro_batches(LENGTHS[name], config.student, 8, seed=0)
    needed = cohort_bytes([num], [True], num, pass_bytes(work, batches, work), config.cluster) / GIB
    assert least < needed < most


def test_logits_are_counted_for_target_tokens_and_maps_by_their_sides():
    """Logits grow with vocabulary times target tokens, an encoder's maps with the square of the source."""
    _, work = large(MODELS["bart-large"])

    def batch(**changes):
        return MicroBatch(**({"num_rows": 2, "num_source": 400, "num_target": 1} | changes))

    def of(**changes):
        return pass_bytes(work, [batch(**changes)])

    maps = of(num_source=1200) - 2 * of(num_source=800) + of(num_source=400)  # what is linear cancels
    assert maps == pytest.approx(12 * 16 * MAP_BYTES * 2 * (1200**2 - 2 * 800**2 + 400**2))  # layers, heads
    doubled = replace(work, num_logits=2 * work.num_logits)
    more = [pass_bytes(doubled, [one]) - pass_bytes(work, [one]) for one in (batch(num_target=1), batch(num_target=10))]
    assert more[1] - more[0] == pytest.approx(2 * 9 * LOGIT_BYTES * work.num_logits)


def test_a_validation_loss_needs_its_logits(make_bart):
    """In batches of the evaluation's size, whatever micro-batches training was cut into; counted in a small model."""
    model = make_bart(1, 1, vocab_size=4000, d_model=16)
    lengths = [(5, 30), (40, 10), (6, 31), (7, 29)]
    rows = {"source_tokens": [s for s, _ in lengths], "target_tokens": [t for _, t in lengths]}
    rows |= {"input_ids": [[5] * s for s, _ in lengths], "labels": [[6] * t for _, t in lengths]}
    with LiveBytes() as counted:
        token_scores(
            model, Dataset.from_dict(rows), batch_tokens=120, rank=0, num_ranks=1, gather=lambda value: [value]
        )
    estimated = evaluation_bytes(work_of(model.config), lengths, 120)
    assert estimated / 2 < counted.peak < 1.1 * estimated


def test_quantizing_without_training_needs_no_optimiser():
    """Less than training the same student, and no less than the copies that are there."""
    student, teacher, cluster = 10**9, 2 * 10**9, ClusterConfig(engine="torch")
    needed = quantizing_bytes(student, teacher, 1e9)
    trained = cohort_bytes([student], [True], teacher, 1e9, cluster)
    assert 4.0 * (teacher + 3 * student) + 1e9 < needed < trained - 8.0 * student  # Adam's moments are not there


def test_micro_batches_are_those_of_training():
    """As many rows as the step leaves a rank, never more tokens than the setting; lengths as padded."""
    lengths, train = [(10 + i % 7, 3 + i % 5) for i in range(100)], TrainConfig(batch_tokens=800, micro_batch_tokens=64)
    found = micro_batches(lengths, train, 2, seed=1)
    assert found and all(one.num_rows * (one.num_source + one.num_target) <= 64 for one in found)
    few = micro_batches(lengths, TrainConfig(batch_tokens=100, micro_batch_tokens=8192), 4, seed=1)
    assert max(one.num_rows for one in few) <= 3


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_of_a_teacher_whose_logits_alone_are_imitated_no_map_outlives_its_layer(precision):
    """A teacher of many heads beside a tiny student: what both keep is within the estimate, and that is less."""
    family, draw = ADAPTERS["bert"], torch.Generator().manual_seed(0)
    shapes = {"d_model": 64, "ffn_dim": 64, "num_heads": 16, "encoder_layers": 12}, {"d_model": 16, "ffn_dim": 16}
    models = []
    for shape in shapes:
        config = family.from_scratch(ArchitectureConfig(**({"num_heads": 2, "encoder_layers": 1} | shape)), Words(50))
        config._attn_implementation = "eager"
        models.append(family.model_class(config).requires_grad_(shape is shapes[1]).train(shape is shapes[1]))
    teacher, student = models
    rows = [torch.randint(5, 50, (128,), generator=draw).tolist() for _ in range(4)]
    batch = collate(rows, [[0]] * 4, 1, None)
    weights = changed(DistillationConfig(), dict.fromkeys(LAYER_TERMS, 0.0), "recipe.distillation")
    objective = DistillationObjective(weights=weights, encoder_map=[], decoder_map=[])
    engine = TorchEngine(student, torch.optim.AdamW(student.parameters()), precision=precision, max_gradient_norm=1.0)
    with LiveBytes() as live:
        signals = teacher_pass(teacher, [objective], precision)(batch)
        engine.backward(sum(objective(engine, batch, signals, TokenCounts(num_source=1.0, num_target=1.0)).values()))
    shape = MicroBatch(num_rows=4, num_source=128, num_target=1)
    work, beside = work_of(student.config), work_of(teacher.config)
    estimates = [pass_bytes(work, [shape], beside, compares_attention=compares) for compares in (False, True)]
    sizes = [sum(p.numel() for p in model.parameters()) for model in models]
    left = COPY_BYTES * sizes[0] + GRADIENT_BYTES * sizes[1]
    assert live.peak < estimates[0] + left < 2.5 * live.peak
    assert estimates[0] < estimates[1] / 2
