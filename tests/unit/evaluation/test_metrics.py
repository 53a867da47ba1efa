"""Scores are those of the field's own packages, as their command lines print them."""

import csv
import json
import subprocess
import sys

import pytest

from pipeline.evaluation.bootstrap import interval_of_mean, np, paired_differences
from pipeline.evaluation.comparison import compare_texts
from pipeline.evaluation.metrics import rouge_each, score_texts, signature

PREDICTIONS = ["the cat sat on a mat", "dogs were barking loudly", "nothing alike", ""]
REFERENCES = [["the cat sat on the mat"], ["dogs barked loud"], ["quite another text"], ["missing"]]
SEVERAL = [["a cat sat on the mat", "the cat sat on a mat"], ["dogs barked"], ["x", "nothing alike", "y"], ["missing"]]


def command_line(tmp_path, module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout


def test_rouge_is_what_the_package_s_command_line_prints(tmp_path):
    """Four kinds, F1, with stemming, averaged over the examples."""
    (tmp_path / "p.txt").write_text("".join(f"{text}\n" for text in PREDICTIONS))
    (tmp_path / "t.txt").write_text("".join(f"{texts[0]}\n" for texts in REFERENCES))
    options = ["--target_filepattern=t.txt", "--prediction_filepattern=p.txt", "--output_filename=o.csv"]
    options.append("--rouge_types=rouge1,rouge2,rougeL,rougeLsum")
    command_line(tmp_path, "rouge_score.rouge", *options, "--use_stemmer=true", "--aggregate=false")
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    scores = score_texts("rouge", PREDICTIONS, REFERENCES)
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        expected = sum(100 * float(row[f"{name}-F"]) for row in rows) / len(rows)
        assert scores[name] == pytest.approx(expected, abs=1e-4)  # it prints six digits


@pytest.mark.parametrize("references", [REFERENCES, SEVERAL])
def test_bleu_and_chrf_are_what_sacrebleu_s_command_line_prints(tmp_path, references):
    """With one reference and with several, as many as there are; also the signature."""
    (tmp_path / "p.txt").write_text("".join(f"{text}\n" for text in PREDICTIONS))
    most = max(map(len, references))
    for i in range(most):
        lines = (texts[i] if i < len(texts) else "" for texts in references)
        (tmp_path / f"r{i}.txt").write_text("".join(f"{line}\n" for line in lines))
    files = [f"r{i}.txt" for i in range(most)]
    out = command_line(tmp_path, "sacrebleu", *files, "-i", "p.txt", "-m", "bleu", "chrf", "-w", "8")
    bleu, chrf = json.loads(out)
    scores = score_texts("bleu", PREDICTIONS, references)
    assert (scores["bleu"], scores["chrf"]) == pytest.approx((bleu["score"], chrf["score"]), abs=1e-7)
    ours = signature("bleu", references)
    assert [f"|{part}|" in f"|{ours}|".replace("; ", "|") for part in ("tok:13a", "smooth:exp", "nc:6")] == [True] * 3


def test_the_best_of_several_references_counts():
    """Each kind of ROUGE takes its own best."""
    alone = [rouge_each(PREDICTIONS, [[texts[min(i, len(texts) - 1)]] for texts in SEVERAL]) for i in range(3)]
    for index, best in enumerate(rouge_each(PREDICTIONS, SEVERAL)):
        assert best == {name: max(scores[index][name] for scores in alone) for name in best}


def test_lengths_show_what_scores_hide():
    """Empty texts are counted; lengths are compared with the first reference."""
    scores = score_texts("rouge", PREDICTIONS, REFERENCES)
    assert scores["empty_predictions"] == 1
    assert scores["generated_words"] == 3
    assert scores["length_ratio"] == 12 / 13


def test_all_empty_predictions_score_zero_without_an_error():
    """A student that says nothing has a result."""
    for metric in ("rouge", "bleu"):
        scores = score_texts(metric, [""] * 4, REFERENCES)
        assert max(value for name, value in scores.items() if name != "empty_predictions") == 0
        assert scores["empty_predictions"] == 4


@pytest.mark.parametrize(
    ("predictions", "mcc"), [(["a", "a", "b", "b"], 100), (["a"] * 4, 0), (["b", "b", "a", "a"], -100)]
)
def test_label_scores_are_in_percent(predictions, mcc):
    """All right, all one label, all wrong."""
    scores = score_texts("accuracy", list(predictions), [["a"], ["a"], ["b"], ["b"]])
    assert scores["mcc"] == mcc
    assert scores["accuracy"] == 50 + mcc / 2
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]


def test_the_interval_holds_the_mean_and_shrinks_with_more_examples():
    """About 2 x 1.96 standard errors wide."""
    values = np.random.default_rng(0).normal(50, 10, size=400)
    low, high = interval_of_mean(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_chance_has_a_large_p_value_and_a_real_difference_a_small_one():
    """On paired examples; the same seed, the same numbers."""
    rng = np.random.default_rng(0)
    one = rng.normal(50, 10, size=(300, 1))
    noise, better = one + rng.normal(0, 1, size=one.shape), one + rng.normal(1, 1, size=one.shape)

    def mean(table):
        return lambda indices: table[indices].mean(axis=0)

    [chance], [real] = (paired_differences(mean(one), mean(other), 300) for other in (noise, better))
    assert chance.low < 0 < chance.high
    assert chance.p_value > 0.05 > real.p_value
    assert 0 < real.low < real.value < real.high
    assert real.value == pytest.approx(1, abs=0.2)
    assert paired_differences(mean(one), mean(better), 300) == [real]


@pytest.mark.parametrize(("one", "other"), [(["x"] * 4, ["y"] * 4), (["Da ."] * 4, ["Da."] * 4)])
def test_different_texts_of_the_same_score_do_not_differ(one, other):
    """Both nothing right; or the same after tokenisation."""
    bleu, _ = compare_texts("bleu", one, other, [["Da."]] * 4)
    assert bleu.first == bleu.second
    assert bleu.p_value == 1


@pytest.mark.parametrize("metric", ["rouge", "bleu", "accuracy"])
def test_a_system_compared_with_itself_does_not_differ(metric):
    """Difference 0, p 1; and the scores are those of `score_texts`."""
    scores = score_texts(metric, PREDICTIONS, REFERENCES)
    for result in compare_texts(metric, PREDICTIONS, PREDICTIONS, REFERENCES):
        assert result.first == result.second == pytest.approx(scores[result.name])
        assert (result.p_value, result.low or 0, result.high or 0) == (1, 0, 0)
