"""What a job accepts it reads: tiny runs of every job with configurations that record who asks for what."""

import ast
import dataclasses
import sys
import typing
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from repository import ROOT
from search_tables import written_table

from pipeline.config.build import describe
from pipeline.config.job import all_jobs, groups_of, job_name
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.jobs.compare import CompareJob
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.export import ExportJob
from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.config.jobs.generate import GenerateJob
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.stages.agora import job as agora_job
from pipeline.stages.benchmark import job as benchmark_job
from pipeline.stages.compare import job as compare_job
from pipeline.stages.pretrain import job as pretrain_job
from pipeline.stages.retrain import evidence, promote
from pipeline.stages.retrain import job as retrain_job
from pipeline.stages.search import job as search_job
from pipeline.stages.sweep import job as sweep_job
from pipeline.stages.teacher import job as teacher_job
from pipeline.stages.use import export_job, generate_job

# Copying, naming and checking a setting is no use of it.
NO_USE = ("dataclasses", "copy", "pipeline.config.build", "pipeline.config.keys", "pipeline.config.load")
NO_USE += ("pipeline.config.option", "pipeline.config.layers", "importlib")
NO_USE += ("pipeline.stages.agora.ignored", "pipeline.stages.pretrain.ignored", "pipeline.stages.retrain.settings")


class Reads:
    """The settings of one job's configurations that anything asks for while it runs in this process."""

    def __init__(self, job: type[Any], patch: pytest.MonkeyPatch) -> None:
        self.keys: set[str] = set()
        self._paths: dict[int, str] = {}
        self._alive: list[Any] = []  # else another object could get the number of one that is gone
        self._places: dict[type[Any], list[str]] = {}
        for cls, key in sections_of(job):
            self._places.setdefault(cls, []).append(key)
        for cls in self._places:
            patch.setattr(cls, "__getattribute__", self._getter(cls, is_root=cls is job))

    def _getter(self, cls: type[Any], is_root: bool) -> Any:
        names = {setting.name for setting in dataclasses.fields(cls)}

        def get(section: Any, name: str) -> Any:
            value = object.__getattribute__(section, name)
            if name in names:
                keys = [""] if is_root else self._keys(section, cls)
                if dataclasses.is_dataclass(value) and len(keys) == 1:
                    self._paths[id(value)] = joined(keys[0], name)
                    self._alive.append(value)
                elif is_use(sys._getframe(1)):
                    self.keys |= {joined(key, name) for key in keys}
            return value

        return get

    def _keys(self, section: Any, cls: type[Any]) -> list[str]:
        """Where it stands; of a section that was taken from no configuration, wherever its kind has one place."""
        places = self._places[cls]
        if id(section) in self._paths:
            return [self._paths[id(section)]]
        return places if len(places) == 1 else []


def is_use(frame: FrameType) -> bool:
    """Whether it is a stage that asks, directly or through a property of the section."""
    while frame.f_code.co_name.startswith("<") and frame.f_back is not None:  # a comprehension asks for its function
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", ""))
    checks = module.startswith("pipeline.config.") and frame.f_code.co_name.startswith("_")
    return not module.startswith(NO_USE) and not checks


def sections_of(schema: type[Any], key: str = "") -> Iterator[tuple[type[Any], str]]:
    """The dataclasses that a configuration is made of, with their places; lists' items, too."""
    yield schema, key
    hints = typing.get_type_hints(schema)
    for setting in dataclasses.fields(schema):
        hint = hints[setting.name]
        inner = next(iter(typing.get_args(hint)), None)
        if dataclasses.is_dataclass(hint):
            yield from sections_of(typing.cast(type[Any], hint), joined(key, setting.name))
        elif dataclasses.is_dataclass(inner):
            yield from sections_of(typing.cast(type[Any], inner), f"{joined(key, setting.name)}[i]")


def joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


UNTRAINED = "sweep.students=[{scheme: 2-2-8, depth: 6-6, training: ptq}]"
HALF = "sweep.students=[{scheme: 2-2-8, depth: 2-1, heads: 0.5, label: half, encoder_map: [0, 1], decoder_map: [0]}]"
TWO = ("sweep.schemes=[8-8-8]", "sweep.depths=[2-1,1-1]", "sweep.stopping.rule=halving")
SWEEPS = [  # between them they use every part of a recipe
    [
        *TWO,
        "recipe.distillation={attention_kind: kl, hidden_kind: normalised, relation_heads: 2, temperature: 2.0}",
        *("recipe.distillation.encoder_relations=1", "recipe.distillation.decoder_relations=1"),
        *("recipe.distillation.contrastive=1", "recipe.quantization.bits=['model.encoder.layers.0.*=8']"),
        *("recipe.schedule=['0.5=8-8-8']", "evaluation.score_exported=true", "tracking.register=all"),
        "sweep.seeds=2",
    ],
    [HALF, "recipe.pruning.method=gates"],
    [HALF],
    [UNTRAINED],
    [*TWO, "recipe.sequence.kind=filtered", "recipe.sequence.num_beams=2"],
    [*TWO, "recipe=dqbart", "sweep.stopping.rule=none"],
]
TERMS = ("encoder_relations", "decoder_relations", "contrastive")
# What needs a cluster or a hub: read by the modules named, which no run in this process reaches.
ELSEWHERE = {
    "cluster.address": "cluster/ray_train.py",
    "cluster.cpus_per_worker": "cluster/room.py",
    "cluster.lost_node_seconds": "cluster/groups.py",
    "cluster.max_failures": "cluster/ray_train.py",
    "cluster.wait_seconds": "cluster/room.py",
    "cluster.zero_stage": "stages/training.py",
    "task.corpus.name": "data/corpora.py",
    "task.corpus.subset": "data/corpora.py",
}


@pytest.fixture
def unread(monkeypatch, job):
    """`unread(root, run, *lists of words)`: the keys of a job that none of its runs with these words asks for."""

    def keys(root, run, *runs, **options):
        reads = Reads(root, monkeypatch)
        for words in runs:
            code, _, err = job(job_name(root), run, *words, **options)
            assert code == 0, err
        chosen = {"experiment", *(f"{group}.name" for group in groups_of(root))}  # the words that chose files of conf/
        return sorted({key for key, _, _ in describe(root)} - reads.keys - chosen)

    return keys


def is_read_in(key, module):
    tree = ast.parse((ROOT / "pipeline" / module).read_text())
    end = ".".join(key.split(".")[-2:])  # of the section, and of it alone
    return any(isinstance(node, ast.Attribute) and ast.unparse(node).endswith(end) for node in ast.walk(tree))


def test_every_job_is_looked_at_here():
    """A new one needs a run of its own."""
    seen = {AgoraJob, BenchmarkJob, CompareJob, SweepJob, ExportJob, TeacherJob, GenerateJob, OseSearchJob, PretrainJob}
    assert {*all_jobs()} == {*seen, RetrainJob}


def test_what_needs_a_cluster_or_a_hub_is_read_where_that_is():
    """Else the list would excuse what nobody reads."""
    assert all(is_read_in(key, module) for key, module in ELSEWHERE.items())


def test_a_sweep_reads_what_it_accepts(unread, tmp_path):
    """Whatever the recipe: losses, pruning, targets, stopping, the published method."""
    storage = [f"storage.path={tmp_path}", "cluster=process"]
    assert {*unread(SweepJob, sweep_job.run, *([*words, *storage] for words in SWEEPS))} <= {*ELSEWHERE}


SPACE = "search.students={encoder_layers: [1], decoder_layers: [1], weight_bits: [8, 2], embedding_bits: [8]}"
ONE = "{encoder_layers: 1, decoder_layers: 1, heads: 2, hidden: 16, intermediate: 16}"
LARGE = "{encoder_layers: 2, decoder_layers: 2, heads: 2, hidden: 32, intermediate: 32}"
MODELS = "search.models={encoder_layers: [1], decoder_layers: [1], heads: [2], hidden: [16, 24], intermediate: [16]"
SEARCHES = [  # of all kinds, under all rules
    [
        *(SPACE, "search.steps=[1,2]", "search.rule=halving", "search.eps=1", "search.students.heads=[0.5]"),
        *("search.latency={max_measured: 2, source_tokens: 8, new_tokens: 4, rounds: 1, runtimes: [torch]}",),
        *("recipe.pruning.method=gates", "recipe.sequence.kind=filtered", "recipe.sequence.num_beams=2"),
        *("recipe.distillation={attention_kind: kl, hidden_kind: normalised, relation_heads: 2, temperature: 2.0}",),
        *(f"recipe.distillation.{term}=1" for term in TERMS),
        *("recipe.quantization.bits=['model.encoder.layers.0.*=8']", "recipe.schedule=['0.5=8-8-8']"),
    ],
    [SPACE, "search.students={heads: [0.5], bits: {a: ['*=8']}}", "search.measure=score", "search.eps=1"],
    [SPACE, "recipe=dqbart"],
    ["search.kind=models", f"{MODELS}, maximum: {LARGE}, named: {{one: {ONE}}}}}", "search.training_free=true"],
    ["search.kind=mixed_bits", "search.mixed={depth: 1-1, bits: [2, 8], max_mib: 1.0}"],
]


def test_a_search_reads_what_it_accepts(unread, tmp_path):
    """Whatever is searched."""
    storage = [f"storage.path={tmp_path}", "cluster=process"]
    assert {*unread(OseSearchJob, search_job.run, *([*words, *storage] for words in SEARCHES))} <= {*ELSEWHERE}


CANDIDATE = "agora.candidate={scheme: 8-8-8, depth: 1-1}"
TEXTS = "stone red hill\nbird tree"
AGORA = [  # whatever is learned anew
    [CANDIDATE, "agora.max_rounds=2", "agora.generators=[word_dropout, word_swap, mixing]", "agora.rate=0.3"],
    [CANDIDATE, "agora.max_rounds=2", "agora.points=disagreement", "agora.theta={seeds: 2, batch_tokens: [256]}"],
]


def test_agora_reads_what_it_accepts(unread, tmp_path):
    """Whatever points it learns from; models of generators are read in a test of their own."""
    storage = [f"storage.path={tmp_path}", "cluster=process"]
    (tmp_path / "texts.txt").write_text(TEXTS)
    pool = [CANDIDATE, "agora.pool=unlabelled", f"agora.unlabelled={tmp_path / 'texts.txt'}", "agora.points=all"]
    repeated = [*pool, "agora.generators=[repeat]", "agora.num_per_point=1", "agora.max_rounds=2"]
    losses = [f"recipe.distillation.{term}=1" for term in TERMS]
    losses += ["recipe.distillation={attention_kind: kl, hidden_kind: normalised, relation_heads: 2, temperature: 2.0}"]
    runs = [*AGORA, repeated, [CANDIDATE, *losses, "recipe.schedule=['0.5=8-8-8']"], [CANDIDATE, "recipe=dqbart"]]
    runs.append([CANDIDATE, "recipe.quantization.bits=['model.encoder.layers.0.*=8']"])
    assert {*unread(AgoraJob, agora_job.run, *([*words, *storage] for words in runs))} <= {*ELSEWHERE}


def test_a_teacher_reads_what_it_accepts(unread, tmp_path):
    """Nothing of students."""
    assert {*unread(TeacherJob, teacher_job.run, [f"storage.path={tmp_path}"])} <= {*ELSEWHERE}


NIGHT = ["data_checks.min_examples=9", "data_checks.max_commonest=1", "retrain.notify_command=[/bin/true]"]
NIGHT += ["sweep.students=[{scheme: 8-8-8, depth: 1-1}]", "gates.min_parity=0", "retrain.timing_examples=1"]
# Of labels alone, which no night here has: where they are read.
OF_LABELS = {
    "data_checks.max_contradictions": "retraining/duplicates.py",
    "data_checks.max_label_shift": "retraining/shifts.py",
    "data_checks.max_unknown_labels": "retraining/shifts.py",
    "gates.max_label_flips": "retraining/behaviour_gates.py",
}


def test_a_night_reads_what_it_accepts(unread, tmp_path, monkeypatch):
    """The first, one with a champion, the way back; what it hands to its sweep is read there."""
    monkeypatch.setattr(promote, "probe", lambda *_: None)
    monkeypatch.setattr(evidence, "LEAST_OF_A_SLICE", 1)
    words = [*NIGHT, "cluster=process", f"storage.path={tmp_path}"]
    runs = [words, [*words, "retrain.force=true", "gates.max_bytes=9"], [*words, "gates.margin=9"]]
    runs.append([*words, "retrain.rollback=true", "retrain.to=1"])
    monkeypatch.setattr(promote, "aliases_of", lambda *_: promote.Aliases())  # lost: else there is nowhere to go back
    unknown = {*unread(RetrainJob, retrain_job.run, *runs)}
    own = {key for key in unknown if key.partition(".")[0] in ("retrain", "gates", "data_checks")}
    assert own <= {*OF_LABELS}
    for key, module in OF_LABELS.items():
        assert f".{key.partition('.')[2]}" in (ROOT / "pipeline" / module).read_text(), key


SMALL = "pretraining.architecture={encoder_layers: 1, num_heads: 2, d_model: 16, ffn_dim: 16, max_positions: 64}"
OF_TEXTS = ("task.objective=masked_lm", "task.masking=words", "task.packed=true", "task.corpus.target_column=text")


def test_a_pretraining_reads_what_it_accepts(unread, tmp_path):
    """Whichever losses, from scratch or further."""
    words = [*OF_TEXTS, "model=tiny_encoder", "model.family=bert", "cluster=process", f"storage.path={tmp_path}", SMALL]
    losses = ["pretraining.hidden=1", "pretraining.relations=1", "pretraining.relation_heads=2"]
    runs = [["model.architecture.encoder_layers=1", *losses], ["model.family=roberta", "pretraining.compare=false"]]
    unknown = {*unread(PretrainJob, pretrain_job.run, *([*words, *more] for more in runs))}
    # No family with a decoder has masked LMs; the metric is held to the objective, which scores nothing by it.
    assert sorted(unknown - {*ELSEWHERE}) == ["model.architecture.decoder_layers", "task.metric"]


def test_jobs_with_a_finished_student_read_what_they_accept(unread, served_sweep, tmp_path):
    """Comparing, exporting, answering."""
    storage, document = served_sweep
    path, (first, second, *_) = f"storage.path={storage}", (student["run_id"] for student in document["students"])
    assert unread(CompareJob, compare_job.run, [first, second, path], base=False) == []
    assert unread(ExportJob, export_job.run, [first, path, f"output={tmp_path / 'graphs'}"], base=False) == []
    runs = [["runtime=torch"], ["runtime=onnx", f"output={tmp_path / 'a.txt'}"]]
    answers = ([first, "a text", path, *words] for words in runs)
    assert unread(GenerateJob, generate_job.run, *answers, base=False) == []


def test_benchmarks_read_what_they_accept(unread, tmp_path):
    """Between them."""
    tiny = ["model.vocab_size=300", "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2}"]
    tiny += ["model.architecture.encoder_layers=2", "model.architecture.decoder_layers=2", f"storage.path={tmp_path}"]
    cohort = ["benchmark.depths=[1-1]", "benchmark.num_students=1", "benchmark.scaling=[]", "benchmark.num_steps=1"]
    small = "{layers: 1, heads: 2, hidden: 32, intermediate: 32, vocabulary: 300, schemes: [8-8-8]}"
    kinds = [
        ["generation", "benchmark.depth=2-1", "benchmark.num_examples=1", "benchmark.new_tokens=4"],
        ["cohort", *cohort, *(f"recipe.distillation.{term}=1" for term in TERMS), "sweep.recipes=[]"],
        ["cohort", *cohort, "recipe=dqbart"],
        ["parity", "benchmark.parity={schemes: [2-2-8], depth: 2-1, num_seeds: 1, num_steps: 4, source_tokens: 8}"],
        ["runtime", "benchmark.runtime={depths: [2-1], batches: [1], threads: [1], schemes: [2-2-8], rounds: 1}"],
        [
            "encoder",
            "benchmark.encoder.attentions=[sdpa]",
            "benchmark.encoder.threads=[1]",
            f"benchmark.encoder={{shapes: [{small}], references: [], lengths: [8], rounds: 1}}",
        ],
        ["search", f"benchmark.search={{table: {written_table(tmp_path)}, budgets: [1], num_seeds: 1}}"],
    ]
    assert unread(BenchmarkJob, benchmark_job.run, *([*words, *tiny] for words in kinds), base=False) == [
        "benchmark.shapes"  # conf/benchmark.yaml reads it
    ]
