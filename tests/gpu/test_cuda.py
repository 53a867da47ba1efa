"""On a GPU: the laws that could break there. Skipped without one; two or more show what ranks do.

All of it, in less than five minutes: `.venv/bin/python -m pytest tests/gpu -q`
"""

import copy
import os
import subprocess
import sys

import pytest
import torch
from teachers import maps, random_teacher

from pipeline.cluster.failures import advice, lasts
from pipeline.cluster.ray_train import DEVICE_ALLOCATOR
from pipeline.cluster.room import GIB, _device_bytes, _installed_device_bytes
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.recipe import DistillationConfig, QuantizationConfig, QuantizersConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.distillation.objective import DistillationObjective, TaskObjective, signals_of
from pipeline.models.families import families, family_named
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.memory import MicroBatch, pass_bytes, state_bytes, work_of
from pipeline.stages.training import make_engine, worker_device
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Learner, Progress, TokenCounts
from pipeline.training.random_stream import RandomStream

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

ON_GPU = ClusterConfig(engine="torch", num_workers=1, gpus_per_worker=1, precision="bf16")
LEARNED = {"weights": QuantizersConfig(four_bit="lsq"), "embeddings": QuantizersConfig(four_bit="lsq")}
PUBLISHED = {"weight_granularity": "per_tensor", "activation_granularity": "per_tensor", "clip_value": 2.5}
PUBLISHED |= {"as_published": True, "lm_head": False, "probabilities": "signed", "position_bits": 32}
RECIPES = {
    "best": {},
    "published": PUBLISHED,
    "learned": LEARNED,
    "groups": {"weight_granularity": "group_32", "embedding_granularity": "group_32"},
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("scheme", ["8-8-8", "4-4-8", "2-2-8"])
def test_packed_equals_fake_quantized_on_the_gpu(make_bart, tiny_batch, scheme, recipe):
    """Grids made where training ran give the same logits, bit for bit; rows are long enough for sums to differ."""
    device = torch.device("cuda")
    student = build_student(make_bart(3, 3, d_model=256, encoder_ffn_dim=1024), [0, 1], [1], 0.0).eval()
    plan, batch = scheme_of(scheme, QuantizationConfig(**RECIPES[recipe])), tiny_batch.to(device)
    prepare_student(student, plan)
    student.to(device)
    with torch.no_grad():
        one = student(**batch.inputs).logits
        packed = copy.deepcopy(student)
        convert(packed, sites_of(packed), plan)
        assert torch.equal(one, packed(**batch.inputs).logits)


@pytest.mark.parametrize("name", sorted(families()))
def test_losses_are_fp32_whatever_the_model_shows(name, tiny_batch):
    """bf16 autocast of CUDA has other lists than that of the CPU."""
    family, device = family_named(name), worker_device(ON_GPU)
    teacher = random_teacher(family).requires_grad_(False).to(device)
    student = build_student(teacher, *maps(family, 0, 1), 0.0).to(device).train()
    batch = tiny_batch.to(device)
    if family.decoder is None:
        pytest.skip("its batches are a classifier's")
    engine, counts = make_engine(student, TrainConfig(), ON_GPU), TokenCounts(num_source=7.0, num_target=5.0)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        signals = signals_of(teacher, batch)
    mine, theirs = maps(family, 0, 1)
    distilled = DistillationObjective(weights=DistillationConfig(), encoder_map=mine, decoder_map=theirs)
    for objective in (TaskObjective(label_smoothing=0.1), distilled):
        terms = objective(engine, batch, signals, counts)
        assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())
        engine.backward(sum(terms.values()))
        assert engine.step(1e-4) > 0


def test_a_checkpoint_goes_on_on_a_gpu_whoever_wrote_it(tmp_path):
    """One of a GPU restores the device's random state; one of a CPU weights and moments, and draws begin anew."""
    on_cpu, on_gpu = torch.device("cpu"), worker_device(ON_GPU)

    def learner(seed, device, steps=0):
        torch.manual_seed(seed)
        engine = make_engine(torch.nn.Linear(3, 3).to(device), TrainConfig(), ON_GPU)
        for _ in range(steps):
            engine.backward(engine.forward(input=torch.ones(1, 3, device=device)).float().square().sum())
            engine.step(1e-2)
        parts = {"objective": None, "learning_rate": None, "listener": None}
        return Learner(name="a", engine=engine, random=RandomStream(seed, device), **parts)

    def given(one):
        states = dict(one.engine.states())
        return {
            name: [tensor.tolist() for tensor in (state.value, *state.moments.values())] + [dict(state.numbers)]
            for name, state in states.items()
        }

    def drawn(one):
        with one.random:
            return torch.rand(4, device=on_gpu).tolist()

    for number, (writer, is_same) in enumerate([(on_gpu, True), (on_cpu, False)]):
        first, second = learner(1, writer, 2), learner(2, on_gpu)
        Checkpointer(tmp_path / str(number)).save([first], Progress(step=2))
        assert Checkpointer(tmp_path / str(number)).restore([second]).step == 2
        assert given(second) == given(first)
        if is_same:
            assert drawn(second) == drawn(first)
        second.engine.backward(second.engine.forward(input=torch.ones(1, 3, device=on_gpu)).float().square().sum())
        assert second.engine.step(1e-2) > 0


@pytest.mark.parametrize(("rows", "source", "target"), [(16, 512, 64), (64, 64, 64)])
@pytest.mark.parametrize("scheme", [None, "2-2-8"])
def test_a_step_takes_no_more_than_estimated_and_a_third_at_least(make_bart, batch_of, rows, source, target, scheme):
    """The allocator's peak over weights, gradients, moments, grids and a pass of a BART beside its teacher."""
    device, shape = worker_device(ON_GPU), {"d_model": 512, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048}
    shape |= {"encoder_attention_heads": 8, "decoder_attention_heads": 8, "max_position_embeddings": 600}
    teacher = make_bart(4, 4, vocab_size=20000, **shape).requires_grad_(False).to(device)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    student = build_student(teacher, [0, 3], [0, 3], 0.1).to(device).train()
    lengths = [(source, target)] * (rows - 1) + [(source - 3, target - 3)]
    batch = batch_of([([5] * s, [6] * t) for s, t in lengths]).to(device)
    if scheme:
        prepare_student(student, scheme_of(scheme, QuantizationConfig()))
    engine, counts = make_engine(student, TrainConfig(), ON_GPU), TokenCounts(num_source=9.0, num_target=9.0)
    objective = TaskObjective()
    if scheme:
        objective = DistillationObjective(weights=DistillationConfig(), encoder_map=[0, 3], decoder_map=[0, 3])
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            signals = signals_of(teacher, batch) if scheme else None
        engine.backward(sum(objective(engine, batch, signals, counts).values()))
        engine.step(1e-4)
    taken = torch.cuda.max_memory_allocated() - before
    num = sum(parameter.numel() for parameter in student.parameters())
    work = work_of(student.config)
    micro = MicroBatch(num_rows=rows, num_source=source, num_target=target)
    estimate = state_bytes(num, ON_GPU, scheme is not None) + pass_bytes(
        work, [micro], work_of(teacher.config) if scheme else None
    )
    print(f"{taken / GIB:.2f} GiB taken, {estimate / GIB:.2f} estimated")
    assert taken < estimate < 3 * taken


def test_a_busy_gpu_says_what_it_has_without_giving_any():
    """A process that only asks, started where devices are hidden, answers what this one sees."""
    free = torch.cuda.mem_get_info()[0]
    environment = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        asked = _installed_device_bytes()
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if environment is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = environment
    assert asked == pytest.approx(_device_bytes(), rel=0.01)
    assert torch.cuda.mem_get_info()[0] == pytest.approx(free, rel=0.05)


def test_out_of_memory_is_known_and_explained():
    """The error that this torch raises, by its type and by its words."""
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    assert lasts(caught.value) and "micro_batch_tokens" in advice(caught.value, "x", ON_GPU).change


def test_the_allocator_reads_its_setting():
    """In a fresh process, as Ray starts a worker."""
    program = (
        "import torch; torch.empty(1 << 20, device='cuda');"
        "print([one['is_expandable'] for one in torch.cuda.memory_snapshot()])"
    )
    environment = {**os.environ, DEVICE_ALLOCATOR[0]: DEVICE_ALLOCATOR[1]}
    environment.pop("PYTORCH_CUDA_ALLOC_CONF", None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "True" in done.stdout and "False" not in done.stdout


def test_a_stream_is_unaffected_by_draws_outside():
    """Draws on the device continue the stream, whatever happens between."""
    device = torch.device("cuda")
    first, second = RandomStream(3, device), RandomStream(3, device)
    with first:
        expected = torch.rand(4, device=device), torch.rand(4, device=device)
    with second:
        one = torch.rand(4, device=device)
    torch.rand(100, device=device)
    with second:
        two = torch.rand(4, device=device)
    assert torch.equal(torch.cat(expected), torch.cat((one, two)))
