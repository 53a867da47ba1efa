"""The job `export`: a folder that holds what its table says, whole or absent, never over something else."""

import json
import zipfile

import pandas
import pytest

from pipeline.config.errors import UserError
from pipeline.export.onnx import export_once as exported
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import MODEL_FILES, read_manifest
from pipeline.stages.sweep.job import run
from pipeline.stages.use import export_job

VARIANTS = ["exact", "fast", "openvino"]


@pytest.fixture
def packed(served_sweep):
    """The packages of that sweep: the folder of a student's, the largest first."""
    storage, document = served_sweep
    students = storage / "sweeps" / document["sweep"] / "students"
    return [students / student["key"] / "packed" for student in document["students"]]


@pytest.fixture
def export(job, served_sweep):
    """Run the job in that sweep's storage: `export(*words) -> (exit code, document, what a person reads)`."""

    def call(*words):
        code, out, err = job("export", export_job.run, *map(str, words), f"storage.path={served_sweep[0]}", base=False)
        return code, json.loads(out.splitlines()[-1]), err

    return call


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_part_of_an_export_is_accounted_for(export, packed, tmp_path, variant):
    """The bytes of the parts are those of the files on disk; the folder answers; the document stays one short line."""
    code, document, err = export(packed[1], f"variant={variant}", f"output={tmp_path / 'out'}")
    assert code == 0, err
    info, size = read_manifest(tmp_path / "out"), sum((tmp_path / "out" / name).stat().st_size for name in MODEL_FILES)
    assert (info.variant, info.scheme_name) == (variant, "2-2-8")
    assert document["folder"] == str(tmp_path / "out")
    assert len(json.dumps(document)) < 1000 + 3 * len(str(tmp_path))
    parts = json.loads((tmp_path / "out.parts.json").read_text())
    assert (document["parts_file"], document["num_parts"]) == (str(tmp_path / "out.parts.json"), len(parts))
    assert parts == {name: {"bits": None, **part} for name, part in info.parts.items() if part["bytes"]}
    assert document["size_bytes"] == size == sum(part["bytes"] for part in parts.values())
    weights = (packed[1] / "model.safetensors").stat().st_size
    assert document["package_ratio"] == pytest.approx(weights / size)
    assert {part["bits"] for part in parts.values()} >= {None, 2}
    for text in ("part ", "bits", "stored as", "encoder.onnx", "100.00 %", "times the bytes of its package", "logits"):
        assert text in err
    assert document["parity"]["same_choices"] > 0.5
    assert isinstance(OnnxAnswerer(tmp_path / "out").answers(["red green blue"])[0], str)


def test_an_export_lies_in_the_storage_folder_and_is_kept(export, served_sweep):
    """Asked for again by another name of the student it is found; the zip is made all the same, always equal."""
    storage, document = served_sweep
    student = document["students"][1]
    code, first, err = export(student["name"], "variant=exact")
    assert code == 0, err
    assert first["folder"] == str(storage / "exports" / "2-2-8-3-1-exact")
    folder, zips = storage / "exports" / "2-2-8-3-1-exact", []
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for _ in range(2):
        code, again, err = export(f"model={student['run_id']}", "variant=exact", "compress=zip")
        assert (code, "found, as it was exported before" in err) == (0, True)
        assert again["parts_file"] == first["parts_file"] == str(storage / "exports" / "2-2-8-3-1-exact.parts.json")
        zips.append((storage / "exports" / "2-2-8-3-1-exact.zip").read_bytes())
        assert (again["zip_bytes"], again["zip_ratio"]) == (len(zips[-1]), again["size_bytes"] / len(zips[-1]))
    assert zips[0] == zips[1]
    assert before == {
        path.name: path.stat().st_mtime_ns for path in (storage / "exports" / "2-2-8-3-1-exact").iterdir()
    }
    with zipfile.ZipFile(again["zip"]) as archive:
        assert sorted(archive.namelist()) == sorted(before)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [path.name for path in (storage / "exports").iterdir() if path.name.startswith(".")] == []


def test_an_output_that_holds_something_else_is_refused(export, packed, tmp_path):
    """Another student, another variant, other files, a damaged export, a file: nothing of it is touched."""
    output = f"output={tmp_path / 'out'}"
    assert export(packed[1], "variant=exact", output)[0] == 0
    (tmp_path / "mine.zip").write_text("my own")
    files = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for words, part in (
        ([packed[0], "variant=exact", output], "holds another student (2-2-8)"),
        ([packed[1], "variant=fast", output], "holds variant exact"),
        ([packed[1], f"output={packed[0]}"], "is no finished export"),
        ([packed[1], f"output={packed[0] / 'manifest.json'}"], "is no finished export"),
        ([packed[1], f"output={packed[0] / 'manifest.json' / 'deeper'}"], "Allowed: a folder to write in"),
        ([packed[1], f"output={tmp_path / ('x' * 300)}"], "File name too long"),
        ([packed[1], "output=~nobody-/x"], "no such home folder"),
        ([packed[1], f"output={tmp_path / 'mine'}", "compress=zip"], "mine.zip is no zip of an export"),
        ([tmp_path / "out", "variant=exact"], "is exported already"),
        ([], "no model"),
    ):
        code, _, err = export(*words)
        assert (code, part in " ".join(err.split())) == (2, True), err
    assert files == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert [path.name for path in tmp_path.glob("*.parts.json")] == ["out.parts.json"]
    assert ((tmp_path / "mine.zip").read_text(), (tmp_path / "mine").exists()) == ("my own", False)
    (tmp_path / "out" / "weights.bin").write_bytes(b"")
    code, _, err = export(packed[1], "variant=exact", output)
    assert (code, "is no finished export" in " ".join(err.split())) == (2, True)


def test_a_failed_export_leaves_nothing(export, packed, tmp_path, monkeypatch):
    """Whatever went wrong half-way."""

    def broken(package, folder, variant):
        (folder / "weights.bin").write_bytes(b"half")
        raise UserError("no such layer", "another", "change it")

    monkeypatch.setattr(exported, "export_package", broken)
    code, _, err = export(packed[1], f"output={tmp_path / 'out' / 'deep'}")
    assert (code, "no such layer" in " ".join(err.split())) == (2, True)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_sweep_s_students_have_their_graphs_measured(served_sweep):
    """Bytes, times beside the teacher's and parity of each, as metrics; the graphs lie beside the package."""
    storage, document = served_sweep
    for student in document["students"]:
        folder = storage / "sweeps" / document["sweep"] / "students" / student["key"] / "onnx"
        info, metrics = read_manifest(folder), student["metrics"]
        size = sum((folder / name).stat().st_size for name in MODEL_FILES)
        assert (info.variant, metrics["onnx_size_bytes"]) == ("exact", size)
        assert metrics["onnx_size_ratio"] == pytest.approx(document["teacher"]["size_bytes"] / size)
        assert (metrics["parity_error"], metrics["parity_floor"]) == (info.parity.logits_error, info.parity.floor)
        assert metrics["parity_same_choices"] == info.parity.same_choices
        assert metrics["onnx_ms_per_token"] > 0
        ratio = metrics["teacher_latency_p50_ms"] / metrics["onnx_latency_p50_ms"]
        assert metrics["onnx_speed_ratio"] == pytest.approx(ratio)
        assert metrics["onnx_speed_ratio"] != metrics["speed_ratio"]
    table = (storage / "sweeps" / document["sweep"] / "report" / "results.md").read_text()
    assert " faster, ONNX |" in table


def test_a_student_that_cannot_be_exported_is_served_from_torch(job, tmp_path, monkeypatch, served):
    """It says why, once, whatever the reason, and everything else is done."""
    reasons = [UserError("no storage for 7 bits", "1 to 8 bits", "choose another scheme"), RuntimeError("bad graph")]

    def refuse(package, folder, variant):
        raise reasons.pop()

    monkeypatch.setattr(exported, "export_package", refuse)
    words = ["sweep.students=[{scheme: 8-8-8, depth: 1-1}, {scheme: 2-2-8, depth: 1-1}]", f"storage.path={tmp_path}"]
    code, out, err = job("dq_sweep", run, *words)
    assert (code, reasons) == (0, []), err
    assert (err.count("no storage for 7 bits"), err.count("torch: RuntimeError: bad graph")) == (1, 1)
    student, _ = json.loads(out.splitlines()[-1])["students"]
    assert not [name for name in student["metrics"] if name.startswith(("onnx_", "parity_"))]
    model = served(tmp_path, f"runs:/{student['run_id']}/8-8-8-1-1")
    assert len(model.predict(pandas.DataFrame({"text": ["red green blue"]}))) == 1
