"""The job `benchmark`: what each kind measures, on shapes of no account; never how long it took."""

import json

import psutil
import pytest

from pipeline.stages import benchmark_job


def test_the_generation_benchmark_compares_three_forms_that_say_the_same(job, tmp_path):
    """Quantised at every step, quantised once, packed."""
    shape = "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2, encoder_layers: 2, decoder_layers: 2}"
    small = [shape, "model.vocab_size=300", "benchmark={depth: 1-1, num_examples: 2, source_tokens: 5, new_tokens: 4}"]
    code, out, err = job("benchmark", benchmark_job.run, "generation", *small, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert document["same_tokens"]
    for wrong in ("depth='1'", "depth=3-1", "scheme=foo", "source_tokens=9999"):
        code, _, err = job("benchmark", benchmark_job.run, *small, f"benchmark.{wrong}", base=False)
        assert (code, "Allowed:" in err) == (2, True), err
    assert set(document["speeds"]) == {"quantised at every step", "quantised once", "packed", "teacher, fp32"}


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
    assert (document["threads"], document["precision"], document["device"]) == (1, "bf16", "cpu")
    assert min(case["processor_ratio"] for case in cases) > 0
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
        (["recipe.quantisation.weight_granularity=group_128"], "group_128"),
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
