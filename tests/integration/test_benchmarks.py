"""The job `benchmark`: what each kind measures, on shapes of no account; never how long it took."""

import json

import psutil
import pytest
from search_tables import written_table

from pipeline.cluster.precision import has_bf16
from pipeline.stages.benchmark import job as benchmark_job


def test_the_generation_benchmark_compares_three_forms_that_say_the_same(job, tmp_path):
    """Quantized at every step, quantized once, packed."""
    shape = "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2, encoder_layers: 2, decoder_layers: 2}"
    small = [shape, "model.vocab_size=300", "benchmark={depth: 1-1, num_examples: 2, source_tokens: 5, new_tokens: 4}"]
    code, out, err = job("benchmark", benchmark_job.run, "generation", *small, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert document["same_tokens"]
    for wrong in ("depth='1'", "depth=3-1", "scheme=foo", "source_tokens=9999"):
        code, _, err = job("benchmark", benchmark_job.run, *small, f"benchmark.{wrong}", base=False)
        assert (code, "Allowed:" in err) == (2, True), err
    assert set(document["speeds"]) == {"quantized at every step", "quantized once", "packed", "teacher, fp32"}


COHORT = [
    *(
        "cohort",
        "model.vocab_size=300",
        "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2, encoder_layers: 2}",
    ),
    *("model.architecture.decoder_layers=2", "benchmark={depths: [2-1, 1-1], num_students: 2, scaling: [3, 1]}"),
    *("benchmark.source_tokens=5", "benchmark.target_tokens=4", "benchmark.num_steps=2", "benchmark.batch_examples=2"),
]


def test_students_of_the_cohort_benchmark_do_the_same_in_company_and_alone(job):
    """Every step is done both ways and timed as often; losses with dropout agree to the last bit."""
    code, out, err = job("benchmark", benchmark_job.run, *COHORT, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    cases = document["cases"]
    assert [(case["depth"], case["num_students"]) for case in cases] == [("2-1", 2), ("1-1", 1), ("1-1", 2), ("1-1", 3)]
    for case in cases:
        assert case["same_losses"]
        assert case["losses"] == case["losses_alone"]
        assert len(set(case["losses"].values())) == case["num_students"]  # every one has dropout of its own
        assert case["per_student"] * case["num_students"] == pytest.approx(case["cohort"]["median"])
        for kind in ("cohort", "alone"):
            assert 0 < case[kind]["lowest"] <= case[kind]["median"] <= case[kind]["highest"]
    assert cases[1]["losses"].items() <= cases[3]["losses"].items()  # nor does the size of the company matter
    assert (document["threads"], document["device"]) == (1, "cpu")
    assert document["precision"] == ("bf16" if has_bf16() else "fp32")
    assert min(case[name] for case in cases for name in ("processor_ratio", "processor_seconds")) > 0
    assert all(case["page_faults"] >= 0 for case in cases)
    assert set(document["load_before"]) == {"cpu_percent", "load_average"}
    assert document["num_parameters"]["1-1"] < document["num_parameters"]["2-1"] < document["num_parameters"]["teacher"]
    assert "in cohorts of one" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["benchmark.depths=['1']"], "depth '1' of a model with decoder"),
        (["benchmark.depths=[3-1]"], "3 student layers for a teacher of 2"),
        (["benchmark.depths=[]"], "benchmark.depths is empty"),
        (["benchmark.scaling=[0]"], "benchmark.scaling=[0]"),
        (["benchmark.scheme=foo"], "scheme 'foo'"),
        (["benchmark.target_tokens=2000"], "2000 tokens for a model of 1024 positions"),
        (["model.family=roberta"], "which does not generate"),
        (["recipe.quantization.weight_granularity=group_128"], "group_128"),
        (["cluster=local"], "Change: set cluster=process"),
        (["cluster.num_workers=2"], "cluster.num_workers=2 with launcher=process"),
        (["student.learning_rate=1e39", "benchmark.num_steps=4"], "lower student.learning_rate"),
    ],
)
def test_what_the_cohort_benchmark_cannot_measure_is_refused(job, words, message):
    """With what is allowed."""
    code, _, err = job("benchmark", benchmark_job.run, *COHORT, *words, base=False)
    assert (code, message in " ".join(err.split())) == (2, True), err


def test_cohorts_that_do_not_fit_into_memory_are_refused(job, monkeypatch):
    """Before anything is built; the largest of them is named."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("memory", (), {"available": 1 << 20})())
    code, _, err = job("benchmark", benchmark_job.run, *COHORT, base=False)
    assert (code, "3 students of depth 1-1 need about" in " ".join(err.split())) == (2, True), err
    assert "steps:" not in err


TINY = [
    "model.architecture={d_model: 64, ffn_dim: 128, num_heads: 2, encoder_layers: 2, decoder_layers: 2}",
    "model.vocab_size=300",
]
RUNTIME = [
    *("runtime", *TINY),
    "benchmark.runtime={depths: [2-1], batches: [2], threads: [1], schemes: [2-2-8], source_tokens: 9, new_tokens: 3}",
    *("benchmark.runtime.rounds=1", "benchmark.runtime.sample_seconds=0", "benchmark.runtime.max_other_load=999"),
]


def test_the_runtime_benchmark_measures_everyone_and_goes_on_where_it_was_interrupted(job, tmp_path):
    """Other runtimes, ours in every variant, the teacher in every cell; a cell that is there is not measured again."""
    storage = f"storage.path={tmp_path}"
    code, out, err = job("benchmark", benchmark_job.run, *RUNTIME, storage, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    [cell] = document["cells"]
    ours = ("2-2-8 exact", "2-2-8 fast", "2-2-8 openvino", "2-2-8 openvino, by OpenVINO")
    others = ("transformers fp32", "transformers bf16", "ONNX Runtime fp32", "CTranslate2 fp32", "CTranslate2 int8")
    assert set(cell["contenders"]) | set(cell["left_out"]) == {"teacher, transformers fp32", *others, *ours}
    for name, row in cell["contenders"].items():
        assert row["error"] is None, f"{name}: {row['error']}"
        assert row["total_ms"] > 0
        assert row["faster_than_teacher"] > 0
    sizes = {name: row["file_bytes"] for name, row in cell["contenders"].items()}
    assert sizes["2-2-8 fast"] < sizes["transformers fp32"] < sizes["teacher, transformers fp32"]
    [record] = map(json.loads, (tmp_path / document["results"]).read_text().splitlines())
    for row in record["contenders"]:
        assert (row["times"]["num_kept"], len(row["samples"])) == (1, 1)
        assert min(row["resident_bytes"], row["load_ms"], row["floor_ms"], row["weight_bytes_per_token"]) > 0
    again = job("benchmark", benchmark_job.run, *RUNTIME, storage, base=False)
    assert again[:2] == (0, out)
    assert "1 cells, 1 of them measured before" in again[2]
    assert "making" not in again[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runtime.depths=[3-1]"], "3 student layers for a teacher of 2"),
        (["runtime.depths=[]"], "benchmark.runtime.depths=[]"),
        (["runtime.batches=[0]"], "benchmark.runtime.batches=[0]"),
        (["runtime.threads=[999]"], "999 threads"),
        (["runtime.schemes=[foo]"], "scheme 'foo'"),
        (["runtime.variants=[slow]"], "benchmark.runtime.variants names 'slow'"),
        (["runtime.source_tokens=9999"], "9999 tokens for a model of 1024 positions"),
        (["kind=parity", "benchmark.parity.schemes=[]"], "benchmark.parity.schemes is empty"),
        (["kind=parity", "benchmark.parity.num_steps=1024"], "1025 tokens for a model of 1024 positions"),
        (["kind=parity", "benchmark.parity.depth='1'"], "depth '1' of a model with decoder"),
        (["kind=runtime", "model.family=roberta"], "which does not generate"),
    ],
)
def test_what_the_benchmarks_of_exported_models_cannot_measure_is_refused(job, tmp_path, words, message):
    """Before a file is made."""
    first, *rest = words
    kind, *settings = RUNTIME
    kinds = [] if first.startswith("kind=") else [kind]
    arguments = [*kinds, *settings, f"storage.path={tmp_path}", f"benchmark.{first}", *rest]
    code, _, err = job("benchmark", benchmark_job.run, *arguments, base=False)
    assert (code, message in " ".join(err.split())) == (2, True), err
    assert not (tmp_path / "benchmarks").exists()


def test_the_parity_benchmark_compares_every_runtime_with_the_floor(job):
    """Of every recipe; a scheme that a recipe cannot have is left out and named."""
    small = ["benchmark.parity={depth: 1-1, num_seeds: 2, num_rows: 2, source_tokens: 8, num_steps: 5}"]
    small += ["benchmark.parity.schemes=[4-4-8,1-1-8]"]
    code, out, err = job("benchmark", benchmark_job.run, "parity", *TINY, *small, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    kinds = {(row["recipe"], row["scheme"]) for row in document["rows"]}
    assert kinds == {("best", "4-4-8"), ("best", "1-1-8"), ("dqbart", "4-4-8")}
    assert list(document["left_out"]) == [f"dqbart 1-1-8 package (seed {seed})" for seed in (28, 29)]
    runtimes = {row["runtime"] for row in document["rows"]}
    assert runtimes >= {"torch fp64", "exact", "fast", "openvino"}
    assert len(document["rows"]) == len(kinds) * len(runtimes)
    for row in document["rows"]:
        assert row["num_seeds"] == 2
        assert 0 < row["error"] < 0.3, row
        assert row["same_choices"] > 0.5, row
        if row["runtime"] == "torch fp64":
            assert row["error"] == row["floor"]


ENCODER = [
    "encoder",
    "benchmark.encoder.shapes=[{name: large, family: bert, layers: 3, heads: 2, hidden: 64, intermediate: 128, "
    "vocabulary: 300, positions: 32}, {name: small, layers: 1, heads: 4, hidden: 64, intermediate: 64, "
    "vocabulary: 400, positions: 32, schemes: [2-2-8]}]",
    "benchmark.encoder={references: [large], lengths: [8, 32], threads: [1], rounds: 2, sample_seconds: 0}",
    *("benchmark.encoder.attentions=[eager]", "benchmark.encoder.max_other_load=999"),
]


def test_the_encoder_benchmark_measures_every_shape_beside_arithmetic(job, tmp_path):
    """In fp32 in two runtimes and packed; again only where samples or cells are missing."""
    one, storage = [*ENCODER, "benchmark.encoder.lengths=[8]"], f"storage.path={tmp_path}"
    few, more = (
        job("benchmark", benchmark_job.run, *one, *words, storage, base=False)
        for words in (["benchmark.encoder.rounds=1"], [])
    )
    assert few[0] == 0, few[2]
    assert "making" in few[2] and "1 cells, 0 of them measured before" in more[2]
    code, out, err = job("benchmark", benchmark_job.run, *ENCODER, storage, base=False)
    assert code == 0, err
    assert "2 cells, 1 of them measured before" in err and "making" not in err and "small than large" in err
    document = json.loads(out.splitlines()[-1])
    first, second = document["cells"]
    assert first == json.loads(more[1].splitlines()[-1])["cells"][0]
    assert [(cell["length"], cell["batch"], cell["threads"]) for cell in (first, second)] == [(8, 1, 1), (32, 1, 1)]
    fp32 = {f"{shape}, {form}" for shape in ("large", "small") for form in ("transformers eager", "ONNX Runtime fp32")}
    for cell in (first, second):
        assert cell["left_out"] == {}
        assert set(cell["contenders"]) == fp32 | {"small, 2-2-8 exact", "small, 2-2-8 openvino"}
        for name, row in cell["contenders"].items():
            assert row["error"] is None, f"{name}: {row['error']}"
            ratio = row["ratios"]["large"]
            same_runtime = name.replace("small", "large") if "transformers" in name else "large, ONNX Runtime fp32"
            assert ratio["measured"] == cell["contenders"][same_runtime]["ms"] / row["ms"]
            assert (ratio["multiplications"] == 1.0) == name.startswith("large")
            assert row["spread"]["p10"] <= row["ms"] <= row["spread"]["p90"]
    records = [json.loads(line) for line in (tmp_path / document["results"]).read_text().splitlines()]
    assert [record["rounds"] for record in records] == [1, 2, 2]
    for row in (row for record in records[1:] for row in record["contenders"]):
        assert row["times"]["num_kept"] == len(row["samples"]) == 2
        assert min(row["resident_bytes"], row["load_ms"], row["file_bytes"], row["multiplications"]) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["encoder.threads=[0]"], "benchmark.encoder.threads=[0]"),
        (["encoder.threads=[999]"], "999 threads"),
        (["encoder.lengths=[33]"], "33 tokens for the shape 'large' of 32 positions"),
        (["encoder.shapes=[{heads: 3}]", "benchmark.encoder.references=[]"], "3 heads in a hidden width of 1024"),
        (["encoder.shapes=[{schemes: [foo]}]", "benchmark.encoder.references=[]"], "scheme 'foo'"),
        (["encoder.rounds=1", "recipe.quantization.weight_granularity=group_128"], "group_128 in rows of 64"),
    ],
)
def test_what_the_encoder_benchmark_cannot_measure_is_refused(job, tmp_path, words, message):
    """Before a file is made."""
    first, *rest = words
    arguments = [*ENCODER, f"storage.path={tmp_path}", f"benchmark.{first}", *rest]
    code, _, err = job("benchmark", benchmark_job.run, *arguments, base=False)
    assert (code, message in " ".join(err.split())) == (2, True), err
    assert not (tmp_path / "benchmarks").exists()


def test_encoders_that_do_not_fit_into_memory_side_by_side_are_refused(job, tmp_path, monkeypatch):
    """Before any of them is loaded; nothing is written down as measured."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("memory", (), {"available": 1 << 20})())
    code, _, err = job("benchmark", benchmark_job.run, *ENCODER, f"storage.path={tmp_path}", base=False)
    assert (code, "6 models side by side need about" in " ".join(err.split())) == (2, True), err
    assert not list(tmp_path.rglob("*.jsonl"))


def test_the_search_benchmark_judges_rankers_and_loops(job, tmp_path):
    """Where early errors and sizes tell the truth they rank perfectly; run twice it says the same."""
    words = [
        "search",
        f"benchmark.search.table={written_table(tmp_path, 12, num_seeds=2)}",
        "benchmark.search.num_seeds=3",
    ]
    words += ["benchmark.search.budgets=[1, 1.5, 6]", f"storage.path={tmp_path}"]
    code, out, err = job("benchmark", benchmark_job.run, *words, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert (document["num_candidates"], document["num_offered"], document["training_seeds"]) == (12, 6, [0, 1])
    assert (document["between_training_seeds"], document["unit"]) == (pytest.approx(1), "optimiser steps")
    assert {row["ranker"] for row in document["rankers"]} == {
        *("parameters", "operations", "confidence", "error after 1", "error after 2")
    }
    assert all(row["spearman"] == row["kendall"] == pytest.approx(1) for row in document["rankers"])
    cells = {(row["goal"], row["loop"], row["budget"]): row for row in document["regrets"]}
    for (goal, loop, budget), row in cells.items():
        assert (
            1 <= row["num_answers"] <= row["num_draws"] == 6 and 0 <= row["lowest"] <= row["regret"] <= row["highest"]
        )
        assert row["mean_steps_spent"] <= 8 * budget
        assert row["better_than_random"] + row["worse_than_random"] <= 6
        if loop == "random search":
            assert budget < 6 or row["regret"] == 0
        if loop == "first by parameters":
            assert row["regret"] == 0 and goal.startswith("least error")
    assert sum(goal == "highest W" for goal, *_ in cells) == sum(goal.endswith("<= 21") for goal, *_ in cells) - 3
    for shown in ("ranker", "regret: highest W", "parameters <= 21", "OSE, error after 1", "successive halving, eta 2"):
        assert shown in err
    assert job("benchmark", benchmark_job.run, *words, base=False)[1] == out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no table"),
        (["benchmark.search.table=nowhere.jsonl"], "'nowhere.jsonl' is not there"),
        (["benchmark.search.table={broken}"], "line 1: no field 'costs'"),
        (
            ["benchmark.search.table={table}", "benchmark.search.budgets=[7]"],
            "a budget of 7 whole trainings where 6 of 12",
        ),
        (["benchmark.search.table={table}", "benchmark.search.budgets=[]"], "benchmark.search.budgets=[]"),
        (
            ["benchmark.search.table={table}", "benchmark.search.budgets=[2, 0.9]"],
            "benchmark.search.budgets=[2.0, 0.9]",
        ),
        (["benchmark.search.table={table}", "benchmark.search.limits=[0.5, 0]"], "benchmark.search.limits=[0.5, 0.0]"),
        (
            ["benchmark.search.table={table}", "benchmark.search.size=bytes"],
            "the costs of the table: parameters, operations",
        ),
    ],
)
def test_what_the_search_benchmark_cannot_judge_is_refused(job, tmp_path, words, message):
    """With what is allowed."""
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"name": "a", "seed": 0}')
    table = written_table(tmp_path, 12)
    settings = ["benchmark.search.budgets=[1]", *(word.format(broken=broken, table=table) for word in words)]
    code, _, err = job("benchmark", benchmark_job.run, "search", *settings, base=False)
    assert (code, message in " ".join(err.split())) == (2, True), err
