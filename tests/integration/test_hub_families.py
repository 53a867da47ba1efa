"""Whole sweeps from folders that hold what checkpoints of the hub hold: from the first check to the served model."""

import contextlib
import io
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest
import torch
from hub_folders import CLASSIFIES, FOLDERS, SUMMARISES
from hub_folders.files import ENGLISH, ROMANIAN
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from pipeline.config.job import job_of
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.sections.model import ModelConfig
from pipeline.data.tokenise import load_tokenizer, saved_tokenizer
from pipeline.export.answer import Answerer
from pipeline.export.package import load_package
from pipeline.models.fit import fit
from pipeline.models.load import check_checkpoint, load_model, load_pretrained, teacher_config
from pipeline.models.special_tokens import special_tokens
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.serving.logged_models import model_name
from pipeline.stages.command import main
from pipeline.stages.sweep.job import run
from pipeline.stages.use import generate_job

CPU = torch.device("cpu")
TEXTS = ["task.max_target_tokens=16", "task.decoding={num_beams: 2, max_length: 16}"]
SHORT = [
    *("task.max_source_tokens=32", "evaluation.latency_examples=1", "cluster=process"),
    *("teacher.batch_tokens=256", "teacher.micro_batch_tokens=256", "teacher.epochs=1"),
    *("student.batch_tokens=256", "student.micro_batch_tokens=256", "student.epochs=1"),
]
# What no part of a text's way through the model reads, by the hub's name; and a classifier's own head, which is new.
UNREAD = ("cls.", "lm_head.", "position_ids", "EncDecAttention.relative_attention_bias")
NEW = ("classifier", "pooler")


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Three splits of shuffled sentences with beginnings, translations and labels."""
    root, draw = tmp_path_factory.mktemp("examples"), random.Random(0)
    for split, count in (("train", 24), ("validation", 4), ("test", 6)):
        rows = []
        for _ in range(count):
            number = draw.randrange(len(ENGLISH))
            words = draw.sample(ENGLISH[number].split(), 6)
            row = {"source": " ".join(words), "short": " ".join(words[:3]), "target": ROMANIAN[number]}
            rows.append(json.dumps(row | {"second": ENGLISH[number], "label": "even" if number % 2 else "odd"}))
        (root / f"{split}.jsonl").write_text("\n".join(rows))
    return root


def task_of(family):
    """Arguments of a task for a family."""
    if family in CLASSIFIES:
        return ["task=classification", "task.corpus.source_column=source", "task.corpus.second_column=second"]
    if family in SUMMARISES:
        return ["task=summarization", "task.corpus.target_column=short", *TEXTS]
    codes = ["task.source_language=en_XX", "task.target_language=ro_RO"] if "mbart" in family else []
    return ["task=translation", *codes, *TEXTS]


def submit(*words):
    """Run the sweep's job in this process: (exit code, the document, what a person reads)."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patched.setattr(sys, "argv", ["dq_sweep", *map(str, words)])
        code = main(job_of("dq_sweep"), "a job", run)
    return code, json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


@pytest.fixture(scope="module", params=FOLDERS)
def family(request):
    """The name of every folder."""
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    """The folder of that name."""
    return FOLDERS[family](tmp_path_factory.mktemp("hub") / family)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """One storage folder for all."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def words(family, folder, examples, storage):
    """Arguments of a small sweep from it."""
    where = [f"data.root={examples}", f"model.pretrained={folder}", f"storage.path={storage}"]
    return SimpleNamespace(storage=storage, all=[*task_of(family), *SHORT, *where])


def found(words, document, number):
    """Where a student of a sweep lies, and its line of the document."""
    student = document["students"][number]
    place = words.storage / "sweeps" / document["sweep"] / "students" / student["key"]
    said = [json.loads(line)["prediction"] for line in (place / "predictions.jsonl").open(encoding="utf-8")]
    return SimpleNamespace(folder=place, said=said, teacher=document["teacher"]["folder"], **student)


@pytest.fixture(scope="module")
def unrounded(family, words):
    """Two students without rounded activations of a teacher that is the checkpoint; a classifier's head is trained.

    The first has all layers at 32 bits, the second half of them with packed weights; neither is trained.
    """
    few = [] if family in CLASSIFIES else ["teacher.max_steps=0"]
    deep, shallow = ("2", "1") if family in CLASSIFIES else ("2-2", "1-1")
    students = f"[{{scheme: 32-32-32, depth: '{deep}'}}, {{scheme: 2-4-32, depth: '{shallow}'}}]"
    code, document, err = submit(*words.all, f"sweep.students={students}", "student.max_steps=0", *few)
    assert code == 0, err
    return [found(words, document, number) for number in range(2)]


@pytest.fixture(scope="module")
def trained(family, words):
    """Half of the layers at 2-2-8, two steps distilled from a teacher that was fine-tuned."""
    depth = "1" if family in CLASSIFIES else "1-1"
    students = f"sweep.students=[{{scheme: 2-2-8, depth: '{depth}'}}]"
    code, document, err = submit(*words.all, students, "student.max_steps=2")
    assert code == 0, err
    return found(words, document, 0)


def sources(examples):
    """Texts of the test split, and their second texts."""
    rows = [json.loads(line) for line in (examples / "test.jsonl").open(encoding="utf-8")]
    return [row["source"] for row in rows], [row["second"] for row in rows]


def asked(family, examples):
    """What a student of a family is asked: texts, or pairs."""
    first, second = sources(examples)
    return (first, second) if family in CLASSIFIES else (first,)


def inputs_of(family, folder, examples):
    """A batch as the folder's own tokenizer writes it, with some target in front of the decoder."""
    tokenizer = saved_tokenizer(folder)
    batch = dict(tokenizer(*asked(family, examples), padding=True, return_tensors="pt"))
    names = {"input_ids", "attention_mask", *tokenizer.model_input_names}
    batch = {name: tensor for name, tensor in batch.items() if name in names}
    return batch if family in CLASSIFIES else batch | {"decoder_input_ids": batch["input_ids"][:, 1:9]}


def named_here(name, folder):
    """The name that a tensor of the hub has in a model of today."""
    bare = json.loads((folder / "config.json").read_text())["architectures"] == ["BartModel"]
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return f"model.{name}" if bare else name


def test_every_tensor_of_the_folder_is_in_the_model(family, folder):
    """Each under its name, to the last bit; what the folder does not have is tied, computed, zero or a new head."""
    labels = ["even", "odd"] if family in CLASSIFIES else []
    model = load_pretrained(ModelConfig(pretrained=str(folder)), len(saved_tokenizer(folder)), labels)
    left, state = {}, model.state_dict()
    for name, tensor in load_file(folder / "model.safetensors").items():
        if any(part in name for part in UNREAD) and named_here(name, folder) not in state:
            continue
        left[named_here(name, folder)] = tensor
        assert torch.equal(state[named_here(name, folder)], tensor.float()), name
    places = {state[name].data_ptr() for name in left}
    for name in sorted(set(state) - set(left)):
        computed = "embed_positions" in name and not AutoConfig.from_pretrained(folder).model_type.endswith("bart")
        zero = name == "final_logits_bias" and not state[name].any()
        assert state[name].data_ptr() in places or computed or zero or any(part in name for part in NEW), name


def test_the_untrained_student_is_the_checkpoint(family, folder, unrounded, examples):
    """Its package, the teacher's folder and transformers on the hub's folder have the same logits, bit for bit."""
    inputs, package = inputs_of(family, folder, examples), unrounded[0].folder / "packed"
    teacher, (student, _) = load_model(Path(unrounded[0].teacher), CPU), load_package(package)
    with torch.no_grad():
        logits = student(**inputs).logits
        assert torch.equal(logits, teacher(**inputs).logits)
        if family not in CLASSIFIES:
            settings = {"dtype": torch.float32, "attn_implementation": "eager"}
            plain = AutoModelForSeq2SeqLM.from_pretrained(folder, **settings).eval()
            assert torch.equal(logits, plain(**inputs).logits)


def test_package_and_graphs_say_what_was_evaluated(family, examples, unrounded, trained):
    """The package always; the graphs where activations are not rounded, else they are as near as rounding lets them."""
    for student, largest_error in ((unrounded[0], 1e-4), (unrounded[1], 1e-4), (trained, 0.05)):
        assert Answerer(student.folder / "packed").answers(*asked(family, examples)) == student.said
        graphs = OnnxAnswerer(student.folder / "onnx").answers(*asked(family, examples))
        assert graphs == student.said or student is trained
        assert student.metrics["parity_error"] <= largest_error


def test_generate_and_the_served_model_answer(family, examples, words, trained, served, job, tmp_path):
    """The job says from the package what was evaluated; MLflow what the graphs say, or the package without any."""
    texts, second = asked(family, examples) if family in CLASSIFIES else (*asked(family, examples), None)
    rows = [
        {"text": text} | ({"text_pair": other} if second else {})
        for text, other in zip(texts, second or texts, strict=True)
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = [str(trained.folder), str(tmp_path / "asked.jsonl"), "runtime=torch", f"storage.path={words.storage}"]
    code, out, err = job("generate", generate_job.run, *arguments, base=False)
    assert (code, out.split("\n")[: len(rows)]) == (0, trained.said), err
    model = served(words.storage, f"runs:/{trained.run_id}/{model_name(trained.name)}")
    graphs = trained.folder / "onnx"
    expected = OnnxAnswerer(graphs).answers(*asked(family, examples)) if graphs.is_dir() else trained.said
    assert model.predict(pandas.DataFrame(rows)) == expected


def without(tensors, lost):
    return {name: tensor for name, tensor in tensors.items() if name not in lost}


def of_the_last_layer(tensors):
    """The names of everything in the last layer of the last stack."""
    layers = [name for name in tensors if ".1." in name and ("decoder." in name or "encoder.layer." in name)]
    return sorted(name for name in layers if name.partition(".1.")[0] == layers[-1].partition(".1.")[0])


def test_special_tokens_need_not_stand_in_config_json(family, folder, words, tmp_path):
    """The tokenizer and the family know them, also where transformers has defaults of its own."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in folder.iterdir():
        (bare / path.name).write_bytes(path.read_bytes())
    settings = json.loads((bare / "config.json").read_text())
    left_out = {"bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id"}
    (bare / "config.json").write_text(json.dumps({k: v for k, v in settings.items() if k not in left_out}))
    task, known = load_config(SweepJob, words.all).task, []
    for one in (folder, bare):
        model = ModelConfig(pretrained=str(one))
        tokenizer = load_tokenizer(model)
        check_checkpoint(model, tokenizer)
        fit(model, tokenizer, task)
        tokens = special_tokens(teacher_config(model, tokenizer, task))
        known.append((tokens.pad, tokens.start, tokens.first, None if family in CLASSIFIES else tokens.ends))
    assert known[0] == known[1]


@pytest.mark.parametrize("damage", ["a tensor", "a layer", "a prefix"])
def test_a_folder_that_lacks_a_tensor_is_refused(family, folder, words, tmp_path, damage):
    """Before model and data are copied, with the name of the first that is missing."""
    tensors = load_file(folder / "model.safetensors")
    lost = of_the_last_layer(tensors)
    lost = lost[-1:] if damage == "a tensor" else lost
    left = {f"module.{n}": t for n, t in tensors.items()} if damage == "a prefix" else without(tensors, lost)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in folder.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    save_file(left, damaged / "model.safetensors")
    depth = "2" if family in CLASSIFIES else "2-2"
    arguments = [*words.all, f"model.pretrained={damaged}", f"sweep.students=[{{scheme: 8-8-8, depth: '{depth}'}}]"]
    models = words.storage / "cache" / "models"
    copied = set(models.glob("*"))
    code, document, err = submit(*arguments)
    assert code == 2, (document, err)
    expected = named_here(lost[0], folder) if damage != "a prefix" else ""
    assert expected in " ".join(err.split()) and str(damaged) in err.replace("\n", "")
    assert set(models.glob("*")) == copied
