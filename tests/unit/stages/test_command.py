"""The words of a command line: which are settings, which are names or texts, and which are mistakes."""

import json
import signal
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pipeline.cluster.driver import DriverLostError
from pipeline.config.errors import UserError
from pipeline.config.job import job_of, own_section, own_settings, positional
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.generate import GenerateJob
from pipeline.config.load import load_config, to_yaml
from pipeline.stages.command import main, with_keys


def loaded(job, *words):
    """The job's own section."""
    root = job_of(job)
    return getattr(load_config(root, with_keys(root, list(words))), job)


@pytest.mark.parametrize("words", [["MODEL"], ["model=MODEL"], ["export.model=MODEL"]])
@pytest.mark.parametrize("rest", [["variant=exact", "compress=zip"], ["export.variant=exact", "export.compress=zip"]])
def test_a_job_s_own_settings_need_no_section(words, rest):
    """`model=` is the student, not the group of models; places, short and whole names mean the same."""
    settings = loaded("export", *words, "format=onnx", *rest)
    assert (settings.model, settings.format, settings.variant, settings.compress) == ("MODEL", "onnx", "exact", "zip")


def test_other_settings_keep_their_sections_and_groups():
    """So that storage and tracking are named as everywhere; other jobs know no short names."""
    words = ["M", "storage.path=/x", "evaluation.batch_tokens=99"]
    config = load_config(GenerateJob, with_keys(GenerateJob, words))
    assert (config.storage.path, config.evaluation.batch_tokens) == ("/x", 99)
    assert load_config(SweepJob, with_keys(SweepJob, ["model=tiny"])).model.name == "tiny"
    with pytest.raises(UserError, match="unknown key 'variant'"):
        load_config(SweepJob, with_keys(SweepJob, ["variant=exact"]))


@pytest.mark.parametrize("given", ["models:/short titles@best", "6-3 seed=1", "a@b", "1e5", "012", "null", "a: b"])
def test_a_model_s_name_is_taken_as_it_stands(given):
    """Numbers, addresses, spaces: nothing is read as YAML."""
    for words in ([given], [f"model={given}"]):
        assert loaded("generate", *words).model == given


TEXTS = [
    "a=b c",
    "x=5",
    "print(a=b)",
    "{a: b}",
    "[1, 2]",
    "12",
    "yes",
    "${seed}",
    "${",
    "a: b",
    "- a",
    "",
    " ",
    "é=ü\n",
]


@pytest.mark.parametrize("text", [*TEXTS, "task: read. model=none", "num_beams", 'say "no"', "# nothing", "text=a=b"])
def test_a_text_is_taken_as_it_stands(text):
    """Also where it looks like a setting, YAML or an interpolation; the configuration as YAML means the same."""
    config = load_config(GenerateJob, with_keys(GenerateJob, ["M", f"text={text}"]))
    assert (config.generate.model, config.generate.text) == ("M", text)
    assert OmegaConf.to_container(OmegaConf.create(to_yaml(config)), resolve=True)["generate"]["text"] == text
    if not text.startswith("text="):
        assert loaded("generate", "model=M", text).text == text
        assert loaded("generate", text, "model=M").text == text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["M", "num_beam=4"], "write num_beams=..., or, if it is a text, text='num_beam=4'"),
        (["M", "max_lenght=4"], "max_length=..."),
        (["M", "--jsonl"], "write jsonl=..., or, if it is a text, text='--jsonl'"),
        (["M", "--num-beams=4", "hello"], "write num_beams=..."),
        (["M", "-n"], "write key=..., or, if it is a text, text='-n'"),
        (["M", "Read", "a", "file"], "'a' is one word too many"),
        (["M", "text", "generate.num_beem=4"], "generate.num_beams"),
        (["M", "num_beams=four"], "generate.num_beams"),
        (["M", "num_beams=0"], "at least 1"),
        (["M", "runtime=tflite"], "auto, torch, onnx"),
        (["M", "too_long=drop"], "cut, refuse"),
        (["M", "threads=0"], "at least 1"),
    ],
)
def test_a_mistyped_setting_is_no_text(words, part):
    """What is nearly a setting is refused with both ways out; so is a text without its quotes."""
    with pytest.raises(UserError) as caught:
        loaded("generate", *words)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["M", "variant=slow"], "exact, fast, openvino"),
        (["M", "format=tflite"], "onnx"),
        (["M", "N"], "one word too many"),
        (["M", "varian=fast"], "write variant=..."),
        (["M", "--variant"], "write variant=..."),
    ],
)
def test_a_wrong_export_is_refused(words, part):
    """With what is allowed."""
    with pytest.raises(UserError) as caught:
        loaded("export", *words)
    assert part in str(caught.value)
    assert "text" not in str(caught.value)  # it takes none


def test_decoding_that_is_not_given_is_that_of_the_evaluation():
    """Only what was said differs."""
    assert loaded("generate", "M", "a").decoding == {}
    words = ["num_beams=4", "early_stopping=false", "length_penalty=0.5"]
    assert loaded("generate", "M", "a", *words).decoding == {
        "num_beams": 4,
        "early_stopping": False,
        "length_penalty": 0.5,
    }


@pytest.mark.parametrize("word", ["storage.pth=/my runs", "tracking.url=sqlite:///my x.db", "teacher.epochs=3"])
@pytest.mark.parametrize("job", ["compare", "export", "generate"])
def test_a_key_of_a_section_is_no_text_whatever_its_value(job, word):
    """Else a mistyped storage folder would be a text, and the default one would be used."""
    root = job_of(job)
    with pytest.raises(UserError, match="unknown key"):
        load_config(root, with_keys(root, ["M", word]))


def test_the_bare_name_of_a_section_may_begin_a_text():
    """With spaces behind it; alone with a number it is a section that is no section."""
    assert loaded("generate", "M", "evaluation=the process of it").text == "evaluation=the process of it"
    with pytest.raises(UserError, match="generate = 3"):
        loaded("generate", "M", "generate=3")


@pytest.mark.parametrize("job", ["compare", "export", "generate"])
def test_help_of_a_job_with_a_section_of_its_own_is_short(job, monkeypatch, capsys):
    """Its own settings by their short names, storage and tracking; no groups, nothing of training."""
    monkeypatch.setattr(sys, "argv", [job, "--help"])
    root = job_of(job)
    assert main(root, "A summary.", lambda config: {}) == 0
    lines = capsys.readouterr().out.splitlines()
    keys = {line.split()[0] for line in lines if line.startswith("  ")}
    shared = {"storage.path", "tracking.uri", "tracking.experiment"}
    assert keys - {"evaluation.batch_tokens"} == {*own_settings(root), *shared}
    places = " ".join(f"[{key.removeprefix(f'{own_section(root)}.')}]" for key in positional(root))
    assert f"usage: python jobs/{job}.py {places} [key=value ...]" in lines[2]


def test_a_job_whose_stdout_is_answers_prints_no_document(monkeypatch, capsys):
    """Neither of a result nor of a mistake."""
    monkeypatch.setattr(sys, "argv", ["generate", "M", "hello"])
    assert main(GenerateJob, "A summary.", lambda _: {"status": "finished"}, has_document=lambda _: False) == 0
    monkeypatch.setattr(sys, "argv", ["generate", "M", "num_beam=3"])
    assert main(GenerateJob, "A summary.", lambda _: {"status": "finished"}, has_document=lambda _: False) == 2
    captured = capsys.readouterr()
    assert (captured.out, "num_beams" in captured.err) == ("", True)


@pytest.mark.parametrize("kind", [RuntimeError, lambda text: UserError(text, "x", "y")], ids=["crash", "mistake"])
def test_what_a_job_says_at_its_end_holds_no_login(kind, capsys, monkeypatch):
    """Neither its paragraph or traceback nor its document, whatever library wrote the error."""

    def run(config):
        raise kind("no answer of https://u:kan4ri@h/x?token=kan4ri")

    monkeypatch.setattr(sys, "argv", ["compare", "a", "b"])
    assert main(job_of("compare"), "a job", run) in (2, 3)
    out, err = capsys.readouterr()
    assert "kan4ri" not in out + err and "https://***@h/x?token=***" in err and "https://***@h/x?token=***" in out


def test_a_login_on_a_command_line_is_warned_of(capsys, monkeypatch):
    """The job cannot hide its arguments; the configuration that it prints has none."""
    monkeypatch.setattr(sys, "argv", ["compare", "a", "b", "tracking.uri=https://u:kan4ri@h", "--print-config"])
    assert main(job_of("compare"), "a job", dict) == 0
    out, err = capsys.readouterr()
    assert "uri: https://h\n" in out and "kan4ri" not in out + err and "MLFLOW_TRACKING_PASSWORD" in err


def test_a_full_disk_is_a_mistake_with_a_name(capsys, monkeypatch):
    """Whatever wrote to it: exit code 2, no traceback."""

    def run(config):
        Path("/dev/full").write_text("x")

    monkeypatch.setattr(sys, "argv", ["compare", "a", "b"])
    assert main(job_of("compare"), "a job", run) == 2
    out, err = capsys.readouterr()
    assert err.startswith("compare: the disk is full. Allowed:") and json.loads(out)["status"] == "mistake"


def test_a_job_that_is_asked_to_stop_says_so(capsys, monkeypatch):
    """With an exit code of its own, a paragraph and a document; a program that it has started hears nothing of it."""

    def run(config):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(sys, "argv", ["compare", "a", "b"])
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        assert main(job_of("compare"), "a job", run) == 75
    finally:
        signal.signal(signal.SIGTERM, earlier)
    out, err = capsys.readouterr()
    document = json.loads(out.splitlines()[-1])
    assert document["status"] == "stopped" and "submit the same command again" in document["error"]
    assert err.startswith("compare: asked to stop by SIGTERM") and "Traceback" not in err


LOST = {-9: (3, "error", "RuntimeError: the job's process was ended by SIGKILL"), 1: (75, "stopped", "submit the same")}


@pytest.mark.parametrize("code", LOST)
def test_a_lost_driver_has_a_last_line(code, monkeypatch, capsys):
    """Where Ray is lost the job can be submitted again; what the kernel killed may be killed again."""

    def lost(config, finish, tell):
        return tell(DriverLostError(code))

    monkeypatch.setattr(sys, "argv", ["dq_sweep", "cluster=local"])
    expected, status, words = LOST[code]
    assert main(SweepJob, "a job", lambda _: pytest.fail("done here"), place=lost) == expected
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == status and words in document["error"]


def test_a_plan_needs_no_place(monkeypatch):
    """What trains nothing is done in this process."""
    monkeypatch.setattr(sys, "argv", ["dq_sweep", "cluster=local", "--dry-run"])
    planned = {"status": "planned"}
    assert main(SweepJob, "a job", pytest.fail, lambda _: planned, place=lambda *_: pytest.fail("placed")) == 0
