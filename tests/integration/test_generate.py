"""The job `generate`: the same answers from a package and from its graphs; texts in, text or JSON lines out."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from pipeline.config.job import job_of
from pipeline.export.answer import Answerer
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import read_manifest
from pipeline.stages.command import main
from pipeline.stages.use import generate_job

TEXTS = ["red green blue stone river", "big bird tree", "", "x = 1", "small round fish ${cloud}"]


@pytest.fixture
def students(served_sweep):
    """The folders of that sweep's students."""
    storage, document = served_sweep
    return [storage / "sweeps" / document["sweep"] / "students" / student["key"] for student in document["students"]]


def has_document(config):
    """As jobs/generate.py says it."""
    return config is not None and config.generate.output is not None


@pytest.fixture
def generate(monkeypatch, capsys, served_sweep):
    """Run the job as its command does: `generate(*words, stdin=b"") -> (exit code, stdout, stderr)`."""

    def call(*words, stdin=b""):
        arguments = ["generate", *map(str, words), f"storage.path={served_sweep[0]}"]
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(job_of("generate"), "a job", generate_job.run, has_document=has_document)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("form", ["packed", "onnx"])
@pytest.mark.parametrize("words", [[], ["num_beams=3", "max_length=8"], ["min_length=6", "no_repeat_ngram_size=1"]])
def test_answers_are_those_of_the_model(generate, students, tmp_path, form, words):
    """One a line on stdout, nothing else; from an argument, from a file, from stdin; decoding as it is told."""
    folder, file = students[0] / form, tmp_path / "texts.txt"
    answerer = Answerer(folder) if form == "packed" else OnnxAnswerer(folder)
    overrides = {name: int(value) for name, value in (word.split("=") for word in words)}
    expected = [" ".join(answer.splitlines()) for answer in answerer.answers(TEXTS, **overrides)]
    file.write_text("".join(f"{text}\n" for text in TEXTS))
    code, out, err = generate(folder, file, *words)
    assert (code, out.split("\n")) == (0, [*expected, ""]), err
    assert f"answering: {len(TEXTS)}/{len(TEXTS)}" in err
    assert generate(folder, "-", *words, stdin=file.read_bytes())[1] == out
    assert generate(f"model={folder}", *words, stdin=file.read_bytes())[1] == out
    code, out, err = generate(folder, TEXTS[0], *words)
    assert (code, out) == (0, f"{answerer.answers(TEXTS[:1], **overrides)[0]}\n"), err
    assert "answering" not in err


def test_the_runtime_can_be_chosen(generate, students, tmp_path):
    """Torch, the graphs beside the package, and those that are made of a package alone, once."""
    texts, alone = tmp_path / "texts", tmp_path / "packed"
    texts.write_text("\n".join(TEXTS))
    shutil.copytree(students[1] / "packed", alone)
    graphs = OnnxAnswerer(students[1] / "onnx").answers(TEXTS)
    for words, expected in (
        (["runtime=torch"], Answerer(alone).answers(TEXTS)),
        (["runtime=onnx"], graphs),
        ([], graphs),
    ):
        code, out, err = generate(students[1], texts, *words)
        assert (code, out.splitlines()) == (0, expected), err
    code, out, err = generate(alone, texts, "runtime=onnx")
    assert (code, out.splitlines(), "is exported as `exact` into" in err) == (0, graphs, True)
    code, out, err = generate(alone, texts, "runtime=onnx", "threads=1")
    assert (code, out.splitlines(), "is exported" in err) == (0, graphs, False)


def test_a_damaged_cache_is_made_anew(generate, students, tmp_path):
    """It may be deleted at any time, so it stops nobody either; the console says so."""
    shutil.copytree(students[1] / "packed", tmp_path / "packed")
    manifest = tmp_path / "packed" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")  # a package of its own
    code, expected, err = generate(tmp_path / "packed", "red green", "runtime=onnx")
    assert code == 0, err
    folder = Path(err.split("` into ")[1].split(", once")[0])
    (folder / "weights.bin").write_bytes(b"half")
    code, out, err = generate(tmp_path / "packed", "red green", "runtime=onnx")
    assert (code, out) == (0, expected), err
    assert "weights.bin has changed" in " ".join(err.split())
    read_manifest(folder)


def test_a_registered_model_answers_by_its_name(generate, tmp_path):
    """As it is served: from its graphs."""
    code, out, err = generate("short titles@smallest", "red green blue", f"output={tmp_path / 'answer'}")
    assert code == 0, err
    document = json.loads(out)
    assert (document["model"], document["runtime"]) == ("2-2-8-3-1", "onnx")
    assert generate("models:/short titles@smallest", "red green blue")[1] == (tmp_path / "answer").read_text()


def test_answers_go_to_a_file_whole(generate, students, tmp_path):
    """With the job's document on stdout; as JSON lines with their texts."""
    source, target = tmp_path / "texts.jsonl", tmp_path / "answers.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    target.write_text("old")
    code, out, err = generate(students[0] / "packed", source, f"output={target}", "jsonl=true")
    assert code == 0, err
    document = json.loads(out)
    assert (document["status"], document["runtime"], document["num_texts"]) == ("finished", "torch", len(TEXTS))
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert [row["answer"] for row in rows] == Answerer(students[0] / "packed").answers(TEXTS)
    assert {path.name for path in tmp_path.iterdir()} == {"texts.jsonl", "answers.jsonl"}


def test_a_stream_is_the_answer(generate, students):
    """Piece by piece, the same line."""
    whole = generate(students[0] / "onnx", "red green blue stone", "num_beams=1")[1]
    code, out, err = generate(students[0] / "onnx", "red green blue stone", "num_beams=1", "stream=true")
    assert (code, out) == (0, whole), err


def test_texts_that_are_too_long_are_counted_or_refused(generate, students, tmp_path):
    """The same in both runtimes; where they are refused nothing is written."""
    (tmp_path / "texts").write_text("red\n" + "green " * 200 + "\n" + "blue " * 300)
    for form in ("packed", "onnx"):
        code, out, err = generate(students[0] / form, tmp_path / "texts")
        assert (code, len(out.splitlines())) == (0, 3), err
        assert "warning: 2 of 3 texts are cut to 24 tokens" in err.splitlines()
        output = f"output={tmp_path / 'answers'}"
        code, out, err = generate(students[0] / form, tmp_path / "texts", "too_long=refuse", output)
        assert (code, json.loads(out)["status"]) == (2, "mistake")
        assert "2 of 3 texts are longer than 24 tokens: 2, 3" in " ".join(err.split())
        assert not (tmp_path / "answers").exists()


def test_a_mistake_is_one_paragraph_and_no_answer(generate, students, tmp_path):
    """Texts, files, models, settings: exit code 2, nothing on stdout, nothing written."""
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "nothing.txt").write_bytes(b"")
    (tmp_path / "rows.jsonl").write_text('{"txt": "a"}\n')
    shutil.copytree(students[1] / "onnx", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "weights.bin"
    weights.write_bytes(b"x" + weights.read_bytes()[1:])
    packed, onnx = students[0] / "packed", students[0] / "onnx"
    for words, part in (
        ([packed, tmp_path / "latin.txt"], "is not UTF-8"),
        ([packed, tmp_path / "nothing.txt"], "is empty"),
        ([packed, tmp_path / "rows.jsonl"], "line 1"),
        ([packed, tmp_path / "missing.txt"], "no file"),
        ([packed, tmp_path], "is a folder"),
        ([tmp_path, "a"], "is not a student"),
        ([tmp_path / "damaged", "a"], "weights.bin has changed"),
        (["", "a"], "no model"),
        ([onnx, "a", "runtime=torch"], "runtime=torch for"),
        ([packed, "a", "stream=true"], "runtime=onnx"),
        ([onnx, "a", "stream=true", "jsonl=true"], "stream=true with jsonl or output"),
        ([onnx, "a", "stream=true"], "num_beams=1"),
        ([packed, "a", "max_length=100000"], "for this model"),
        ([onnx, "a", "max_length=100000"], "for this model"),
        ([packed, "a", "second=b"], "pairs of texts for a model that generates"),
        ([onnx, "a", "second=b"], "pairs of texts for a model that generates"),
        ([packed, tmp_path / "rows.txt", "num_beam=2"], "num_beams"),
        ([packed, "a", "b"], "one word too many"),
        (["a long text " * 100, packed], "File name too long"),
        (["~nobody-/x", "a"], "no such home folder"),
        ([packed, "a\udcff"], "text 1 holds half a surrogate pair"),
        ([onnx, "a\udcff"], "text 1 holds half a surrogate pair"),
    ):
        code, out, err = generate(*words)
        assert (code, out) == (2, ""), (words, err)
        assert part in " ".join(err.split()), err
        assert "Allowed:" in err and "Change:" in " ".join(err.split())
    code, out, err = generate(packed, "a", f"output={tmp_path / 'no' / 'where'}")
    assert (code, json.loads(out)["status"], "no folder" in " ".join(err.split())) == (2, "mistake", True)
    code, _, err = generate(packed, "-", stdin=b"")
    assert (code, "standard input is empty" in " ".join(err.split())) == (2, True)
