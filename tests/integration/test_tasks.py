"""Other tasks through whole jobs: labels, hub data sets in their own format."""

import json
import random
from pathlib import Path

import pandas
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.export.package import load_package
from pipeline.serving.logged_models import model_name
from pipeline.stages.compare import job as compare_job
from pipeline.stages.sweep.job import run
from pipeline.stages.use import generate_job

WORDS = ["red", "green", "blue", "round", "small", "big", "stone", "river", "hill", "cloud", "tree", "bird", "fish"]


@pytest.fixture
def pairs(tmp_path, sizes):
    """Arguments of a classification task whose label says which word the second text starts with."""
    draw = random.Random(0)
    for split, count in (("train", 200), ("validation", 12), ("test", 30)):
        rows = []
        for _ in range(count):
            first, second, word = draw.choice(WORDS), draw.choice(WORDS[:2]), draw.choice(WORDS[2:])
            rows.append(json.dumps({"text_a": first, "text_b": f"{second} {word}", "label": f"is {second}"}))
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    places = [f"data.root={tmp_path}", f"storage.path={tmp_path / 'runs'}"]
    deep = ["model.architecture.encoder_layers=6", "model.architecture.init_std=0.08"]
    return ["task=classification", "model=tiny_encoder", *sizes, *deep, *places]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_classifiers_go_through_the_main_job(job, pairs, tmp_path, family, served):
    """Teacher, distilled and quantized students, one with half of its heads; packed, scored, compared, served."""
    students = "[{scheme: 8-8-8, depth: '3'}, {scheme: 2-2-8, depth: '1'}, {scheme: 2-2-8, depth: '1', heads: 0.5}]"
    arguments = [*pairs, f"model.family={family}", f"sweep.students={students}", "teacher.epochs=12"]
    arguments += ["teacher.learning_rate=3e-3", "student.max_steps=60", "student.epochs=20"]
    code, out, err = job("dq_sweep", run, *arguments, base=False)
    assert code == 0, err
    assert "a classifier has no decoder, ignored: decoder_attention" in err
    assert "the most frequent label" in err
    document = json.loads(out.splitlines()[-1])
    for student in document["students"]:
        metrics = student["metrics"]
        assert {"test_accuracy", "test_macro_f1", "test_mcc", "encoder_hidden_loss", "speed_ratio"} <= set(metrics)
        assert {"onnx_speed_ratio", "onnx_size_ratio", "onnx_ms_per_token", "parity_error"} <= set(metrics)
        assert metrics["size_ratio"] > 3
        assert metrics["test_accuracy"] > 70  # about half would be chance
    folder = tmp_path / "runs" / "sweeps" / document["sweep"] / "students" / document["students"][1]["key"] / "packed"
    model, _ = load_package(folder)
    assert (model.config.model_type, model.config.id2label) == (family, {0: "is green", 1: "is red"})
    ids = [student["run_id"] for student in document["students"][:2]]
    model, rows = (
        served(tmp_path / "runs", f"runs:/{ids[1]}/{model_name(document['students'][1]['name'])}"),
        map(json.loads, (tmp_path / "test.jsonl").open()),
    )
    asked = pandas.DataFrame([{"text": row["text_a"], "text_pair": row["text_b"]} for row in rows])
    said = [json.loads(line)["prediction"] for line in (folder.parent / "predictions.jsonl").open()]
    assert model.predict(asked) == said
    with pytest.raises(MlflowException, match=r"missing inputs \['text_pair'\]"):
        model.predict(asked[["text"]])
    (tmp_path / "asked.jsonl").write_text(asked.to_json(orient="records", lines=True))
    one = f"second={asked['text_pair'][0]}"
    for runtime in ("torch", "onnx"):
        words = [str(folder.parent), f"runtime={runtime}"]
        for texts, labels in (([str(tmp_path / "asked.jsonl")], said), ([asked["text"][0], one], said[:1])):
            code, out, err = job("generate", generate_job.run, *words, *texts, base=False)
            assert (code, out.splitlines()[:-1]) == (0, labels), err
    code, out, err = job("compare", compare_job.run, *ids, pairs[-1], base=False)
    assert code == 0, err
    compared = {result["name"]: result for result in json.loads(out.splitlines()[-1])["results"]}
    scores = [student["metrics"]["test_accuracy"] for student in document["students"][:2]]
    assert [compared["accuracy"]["first"], compared["accuracy"]["second"]] == pytest.approx(scores)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=tiny"], "family bart for task.objective=classification. Allowed: one of bert, roberta"),
        (["task.labels=[is red, is blue]"], "label 'is green' in split 'train' of task 'classification'"),
        (["sweep.students=[{scheme: 8-8-8, depth: 3-1}]"], "depth '3-1' of a model without decoder"),
        (["sweep.students=[{scheme: 8-8-8, depth: '7'}]"], "7 student layers for a teacher of 6"),
        (["recipe=dqbart"], "a classifier, with reduction=tensor"),
        (["recipe.sequence.kind=pure"], "writes no texts"),
        (["task.metric=rouge"], "task.objective=classification with task.metric=rouge"),
        (["task.max_source_tokens=300"], "task.max_source_tokens=300"),
        (["task.corpus.files.test=nothing.jsonl"], "nothing.jsonl does not exist"),
    ],
)
def test_what_a_classifier_cannot_do_is_refused(job, pairs, arguments, message):
    """Before anything is trained, with what is allowed."""
    students = "sweep.students=[{scheme: 8-8-8, depth: '3'}]"
    code, _, err = job("dq_sweep", run, *pairs, students, *arguments, base=False)
    assert code == 2
    assert message in " ".join(err.split())


@pytest.fixture
def on_the_hub(tmp_path):
    """Writes rows as a data set of the hub: Parquet files and a card that names configuration and splits."""

    def write(rows, subset="default", splits=("train", "validation", "test"), features=None):
        folder = tmp_path / "hub"
        for split in splits:
            path = folder / subset / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            Dataset.from_list(rows, features=features).to_parquet(path)
        files = "".join(f"  - split: {s}\n    path: {subset}/{s}-*\n" for s in splits)
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {subset}\n  data_files:\n{files}---\n")
        return f"task.corpus.name={folder}"

    return write


GENERATES = ["model=tiny", "task.max_source_tokens=24", "task.max_target_tokens=12"]
GENERATES += [
    "task.decoding={num_beams: 2, min_length: 2, max_length: 12}",
    "sweep.students=[{scheme: 2-2-8, depth: 1-1}]",
]


@pytest.mark.parametrize(
    ("code", "house", "tokenizer"), [("ro_RO", "o casă", "13a"), ("zh_CN", "一座房子", "zh")], ids=["spaces", "none"]
)
def test_translation_in_wmt_s_format(job, sizes, on_the_hub, tmp_path, code, house, tokenizer):
    """Both languages in one column; a model without language codes says that it ignores them, but BLEU does not."""
    rows = [{"translation": {"en": f"a {word} house", code[:2]: f"{house} {word}"}} for word in WORDS] * 3
    subset = f"{code[:2]}-en"
    arguments = ["task=wmt16_en_ro", on_the_hub(rows, subset=subset), *GENERATES, *sizes]
    arguments += [
        f"task.corpus.subset={subset}",
        f"task.target_language={code}",
        f"task.corpus.target_column=translation.{code[:2]}",
    ]
    status, out, err = job("dq_sweep", run, *arguments, f"storage.path={tmp_path / 'runs'}", base=False)
    assert status == 0, err
    assert "target_language are ignored" in err
    student = json.loads(out.splitlines()[-1])["students"][0]
    assert {"test_bleu", "test_chrf", "bleu_lost"} <= set(student["metrics"])
    tracked = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}").get_run(student["run_id"]).data
    assert f"nrefs:1|case:mixed|eff:no|tok:{tokenizer}|" in tracked.tags["dq.metric_signature"]
    assert tracked.params["task.metric_tokenizer"] == tokenizer


def test_questions_in_eli5_s_format(job, sizes, on_the_hub, tmp_path):
    """Several answers to a question; a validation split of another name; T5 gets its prefix."""
    answers = {"a_id": ["1", "2"], "text": ["because it is so", "nobody knows"], "score": [5, 1]}
    rows = [{"title": f"why is the {w} so?", "selftext": "", "answers": answers} for w in WORDS] * 3
    name = on_the_hub(rows, splits=("train", "validation1", "validation2", "test"))
    arguments = ["task=eli5", name, *GENERATES, *sizes, "model.family=t5", f"storage.path={tmp_path / 'runs'}"]
    code, out, err = job("dq_sweep", run, *arguments, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    student = document["students"][0]
    folder = tmp_path / "runs" / "sweeps" / document["sweep"] / "students" / student["key"]
    assert json.loads((folder / "packed" / "manifest.json").read_text())["source_prefix"] == "question: "
    first = json.loads((folder / "predictions.jsonl").read_text().splitlines()[0])
    assert first["references"] == answers["text"]
    code, _, err = job("dq_sweep", run, *arguments, "task.corpus.splits={validation: validation3}", base=False)
    assert code == 2
    assert "no split 'validation3' (it has train, validation1, validation2, test)" in " ".join(err.split())


def test_labels_of_the_hub_have_names(job, sizes, on_the_hub, tmp_path):
    """Numbers in the files, names in the card of the data set."""
    rows = [{"text_a": word, "text_b": "x", "label": i % 2} for i, word in enumerate(WORDS * 3)]
    features = Features(
        {"text_a": Value("string"), "text_b": Value("string"), "label": ClassLabel(names=["no", "yes"])}
    )
    name, students = on_the_hub(rows, features=features), "sweep.students=[{scheme: 8-8-8, depth: '1'}]"
    arguments = ["task=classification", "task.corpus.kind=hub", name, "model=tiny_encoder", *sizes, students]
    code, out, err = job("dq_sweep", run, *arguments, f"storage.path={tmp_path / 'runs'}", base=False)
    assert code == 0, err
    teacher = Path(json.loads(out.splitlines()[-1])["teacher"]["folder"])
    assert json.loads((teacher / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes"}
