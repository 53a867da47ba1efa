"""The first losses of two tiny cohorts, as they were written down; run as a command, it writes them anew.

usage: python tests/numerics/golden_losses.py

Only a change that means to change what students learn may do that; its commit says why, and by how much they moved.

Two processors add in two orders, and in single precision some values then round to another code, which is a per cent of
a loss after a few steps. In double precision this practically never happens: those losses hold everywhere.
"""

import json
import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import torch
from teachers import random_teacher

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.models.families import family_named
from pipeline.models.forward import start_token
from pipeline.stages.sweep.plan.students import layer_maps, plan_student
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.start import student_learner
from pipeline.tracking.run import NoOpRun
from pipeline.training.allocator import keep_memory
from pipeline.training.loop import LoopSettings, Progress, train_cohort

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden_losses.json"
NUM_STEPS, NUM_EXAMPLES, VOCAB_SIZE, PAD, EOS = 20, 64, 203, 1, 2
# The published recipe, ours, its terms and settings that are off by default, and a student without a teacher.
LATER = "{label: later, scheme: 4-4-8, depth: 2-1, recipe: {quantization: {weights: {four_bit: lsq}, "
LATER += "activation_granularity: learned}, schedule: ['0.5=8-8-8'], distillation: {attention_kind: kl, "
LATER += "hidden_kind: normalised, contrastive: 1.0, encoder_relations: 1.0, decoder_relations: 1.0}}}"
ALONE = "{scheme: 2-2-8, depth: 2-1, distil: false}"
TRAINING = ["cluster=process", "cluster.precision=fp32", "student.learning_rate=1e-3", "student.dropout=0.1"]
COHORTS = {
    "bart": [
        *("task=summarization", "model=tiny", *TRAINING, "sweep.schemes=[8-8-8,2-2-8]", "sweep.depths=[2-1]"),
        *("sweep.recipes=[best,dqbart]", f"sweep.students=[{LATER}, {ALONE}]"),
    ],
    "roberta": [
        *("task=classification", "model=tiny_encoder", *TRAINING),
        "sweep.students=[{scheme: 8-8-8, depth: '2'}, {scheme: 2-2-8, depth: '2'}]",
    ],
}


@dataclass(kw_only=True)
class Losses(NoOpRun):
    """A run that remembers the losses it is told, term by term and step by step."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def metrics(self, values, step):
        for name, value in values.items():
            if name.endswith("loss"):
                self.seen.setdefault(name, []).append(value)


def cpu_kind():
    """What decides in which order a processor adds: who made it, which model, and which instructions torch uses."""
    lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()]
    found = {name.strip(): value.strip() for name, _, value in lines}
    model = [f"{name} {found.get(name, '?')}" for name in ("cpu family", "model")]
    return ", ".join([found.get("vendor_id", "?"), *model, torch.backends.cpu.get_cpu_capability()])


def examples(decoder):
    """Made-up rows of ragged length: pairs of texts, or texts with one of two labels."""
    draw = random.Random(0)

    def ids(longest):
        return [0, *(draw.randrange(5, VOCAB_SIZE) for _ in range(draw.randint(3, longest))), EOS]

    sources = [ids(20) for _ in range(NUM_EXAMPLES)]
    labels = [ids(10) if decoder else [sum(source) % 2] for source in sources]
    return datasets.Dataset.from_dict({"input_ids": sources, "labels": labels})


@contextmanager
def computing_in(precision):
    """Models that are made inside have parameters of `float32` or `float64`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, precision))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def golden_losses(precision):
    """Family -> student -> loss term -> its value at each of the first steps."""
    with computing_in(precision):
        return {family: losses_of_cohort(family) for family in COHORTS}


def losses_of_cohort(family_name):
    """Student -> loss term -> its value at each of the first steps."""
    config = load_config(SweepJob, COHORTS[family_name])
    teacher = random_teacher(family_named(family_name)).requires_grad_(False)
    start = start_token(teacher.config)
    rows = examples(decoder=start is not None)
    lengths = [(len(row["input_ids"]), len(row["labels"])) for row in rows]
    plan = BatchPlan(lengths=lengths, batch_tokens=120, micro_batch_tokens=100, num_ranks=1, seed=5)
    batches = TrainingBatches(rows, plan, rank=0, pad_id=PAD, decoder_start_id=start)
    students, nowhere = config.sweep.points(), Path("/nowhere")  # no student's heads were chosen
    plans = [
        plan_student(config, one, maps, key=one.name, seed=7, shows_seed=False, folder=nowhere / one.name)
        for one, maps in zip(students, layer_maps(students, teacher.config), strict=True)
    ]
    runs = {plan.name: Losses() for plan in plans}
    shared = {"unsharded_batches": batches, "num_steps": NUM_STEPS}
    learners = [student_learner(plan, teacher, config, listener=runs[plan.name], **shared) for plan in plans]
    train_cohort(
        learners,
        batches,
        LoopSettings(num_steps=NUM_STEPS, log_every_steps=1),
        device=torch.device("cpu"),
        progress=Progress(),
        teacher_pass=teacher_pass(teacher, [learner.objective for learner in learners], config.cluster.precision),
    )
    dtype = torch.get_default_dtype()
    assert all(p.dtype == dtype for learner in learners for p in learner.engine.module.parameters())
    assert all(learner.failure is None for learner in learners)
    return {name: run.seen for name, run in runs.items()}


def read_golden():
    """What was written down: `cpu`, `torch`, and `losses` (precision -> family -> student -> term -> values)."""
    return json.loads(GOLDEN.read_text())


def flat(losses):
    """(family, student, term) -> values."""
    return {
        (family, student, term): values
        for family, cohort in losses.items()
        for student, terms in cohort.items()
        for term, values in terms.items()
    }


def largest_difference(losses, golden):
    """The largest relative difference of one value, and (family, student, term) of it.

    Raises:
        AssertionError: other families, students, terms or numbers of steps.
    """
    new, old = flat(losses), flat(golden)
    assert new.keys() == old.keys(), sorted(new.keys() ^ old.keys())
    return max(
        (max(abs(one - other) / abs(other) for one, other in zip(values, old[name], strict=True)), name)
        for name, values in new.items()
    )


def main():
    torch.set_num_threads(1)
    keep_memory()
    losses = {precision: golden_losses(precision) for precision in ("float32", "float64")}
    before = read_golden()["losses"] if GOLDEN.is_file() else losses
    document = {"cpu": cpu_kind(), "torch": torch.__version__, "losses": losses}
    a_list_a_line = re.sub(r"\[[^\]]*\]", lambda found: " ".join(found[0].split()), json.dumps(document, indent=1))
    GOLDEN.write_text(a_list_a_line + "\n")
    for precision, values in losses.items():
        print(precision, "moved by at most {:.1e} {}".format(*largest_difference(values, before[precision])))


if __name__ == "__main__":
    main()
