"""MLflow as the manifests deploy it, on a real PostgreSQL and behind its artifact proxy: what they promise, tried.

    python infra/mlflow/verify.py [--postgresql FOLDER] [--server-python PYTHON] [--store-python PYTHON]
        [--overlay prod] [--folder FOLDER] [--only NAME ...] [--list]

It needs kubectl, openssl, PostgreSQL's binaries (its server and clients), an interpreter with what the server's image
holds (README) and one with moto's server; it is itself run by the project's. Commands, variables, mounted files and
PostgreSQL's setup come from the rendered manifests; where this is root, MLflow runs as their user and PostgreSQL as
nobody. Ten minutes on two cores; about 3 GB of memory.

The last line on stdout is one JSON document. Exit codes: 0 all kept; 1 a promise is broken; 2 a tool is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the sweep and the moments at which it is disturbed are the tests'

from chaos.fault import AbsentError, BrokenError  # noqa: E402
from chaos.process import kill_all  # noqa: E402
from verification.claims import CLAIMS  # noqa: E402
from verification.manifests import setting  # noqa: E402
from verification.postgresql import PostgreSQL  # noqa: E402
from verification.processes import UID, as_user  # noqa: E402
from verification.servers import Place  # noqa: E402
from verification.stage import Stage  # noqa: E402
from verification.stores import ObjectStore  # noqa: E402

IMPORTS = "mlflow.server.auth, psycopg2, boto3"
CHANGED = ["--host=127.0.0.1", "--port", "S3_ENDPOINT_URL", "BACKUP_ENDPOINT_URL", "TMPDIR", "paths of mounted files"]


def binaries(given: str | None) -> Path:
    """The folder of PostgreSQL's programs: the newest of Debian's, where none is given.

    Raises:
        AbsentError: there is none.
    """
    if given is not None:
        return Path(given).resolve()
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise AbsentError("no /usr/lib/postgresql: apt-get install postgresql, or --postgresql FOLDER")
    return found[-1]


def check_tools(server_python: str) -> None:
    """Whether everything else is there that is not looked for where it is used.

    Raises:
        AbsentError: something is not, and what to do.
    """
    for tool in ("kubectl", "openssl"):
        if shutil.which(tool) is None:
            raise AbsentError(f"{tool} is not in PATH")
    code = f"import os; os.environ['MLFLOW_AUTH_CONFIG_PATH'] = ''; import {IMPORTS}"
    try:
        answer = subprocess.run([server_python, "-c", code], cwd="/", capture_output=True, text=True, **as_user(UID))
    except PermissionError:
        raise AbsentError(
            f"{server_python} is not to be read by the user {UID}, as whom root runs servers: make its virtual "
            "environment from an interpreter that all may run, e.g. /usr/bin/python3.11, where all may look"
        ) from None
    if answer.returncode or not Path(server_python).with_name("mlflow").is_file():
        last = (answer.stderr.strip().splitlines() or ["no `mlflow` beside it"])[-1]
        raise AbsentError(
            f"{server_python} is not what the server's image holds ({last}): make a virtual environment as "
            "infra/mlflow/README.md says, and give its python by --server-python"
        )


def tried(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what was used, what each claim saw), up to the first that is broken.

    Raises:
        AbsentError: a tool is missing.
    """
    check_tools(arguments.server_python)
    tools = binaries(arguments.postgresql)
    has_tls = setting(arguments.overlay, "PGSSLMODE") != "disable"
    postgresql = PostgreSQL(tools, folder / "postgresql", has_tls=has_tls)
    second = PostgreSQL(tools, folder / "second", has_tls=has_tls)
    store = ObjectStore(arguments.store_python, folder / "store")
    place = Place(
        overlay=arguments.overlay,
        postgresql=postgresql,
        store=store,
        python=arguments.server_python,
        folder=folder / "pods",
    )
    stage, seen = Stage(place=place, second=second, folder=folder), dict[str, Any]()
    used: dict[str, Any] = {"overlay": arguments.overlay, "changed": CHANGED}
    name = "setup"
    try:
        postgresql.create()
        second.create()
        store.start("mlflow-artifacts", "mlflow-backups")
        used["postgresql"] = postgresql.version()
        for claim in CLAIMS:
            if arguments.only and claim.__name__ not in arguments.only:
                continue
            name, began = claim.__name__, time.monotonic()
            print(f"{name} ...", file=sys.stderr, flush=True)
            seen[name] = claim(stage)
            seen[name]["seconds"] = round(time.monotonic() - began, 1)
    except BrokenError as error:
        seen[name] = {"broken": str(error)}
    finally:
        kill_all()
        for server in stage.servers:
            server.kill()
        for started in (postgresql, second, store):
            started.stop()
        for semaphore in Path("/dev/shm").glob("sem.*"):  # of servers that were killed
            if os.geteuid() == 0 and semaphore.stat().st_uid == UID:
                semaphore.unlink()
    return used, seen


def main(words: list[str]) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", help="folder with PostgreSQL's programs")
    parser.add_argument(
        "--server-python", default=sys.executable, help="interpreter with what the server's image holds"
    )
    parser.add_argument("--store-python", default=sys.executable, help="interpreter with moto's server")
    parser.add_argument("--overlay", default="prod", help="whose manifests are deployed (prod)")
    parser.add_argument("--folder", help="where everything is made, and left; none: a temporary one")
    parser.add_argument(
        "--only", nargs="+", choices=[claim.__name__ for claim in CLAIMS], help="these claims, and what they build on"
    )
    parser.add_argument("--list", action="store_true", help="print the claims")
    arguments = parser.parse_args(words)
    if arguments.list:
        for claim in CLAIMS:
            print(f"{claim.__name__:42} {(claim.__doc__ or '').splitlines()[0]}")
        return 0
    temporary = None if arguments.folder else tempfile.mkdtemp(prefix="verify-mlflow-")
    folder = Path(arguments.folder or str(temporary)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    try:
        used, seen = tried(arguments, folder)
    except AbsentError as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 2
    except BrokenError as error:  # a manifest, before anything was started
        print(json.dumps({"status": "broken", "claims": {"manifests": {"broken": str(error)}}}))
        return 1
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    broken = [name for name, facts in seen.items() if "broken" in facts]
    print(json.dumps({"status": "broken" if broken else "ok", **used, "claims": seen}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
