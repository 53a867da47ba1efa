"""Secrets for infra/compose.yaml, as files of a new folder. Nothing is overwritten. Needs nothing but Python.

    python3 infra/docker/make_secrets.py infra/secrets

The folder is for its owner alone (mode 700). The files in it are not (444): compose mounts each into the containers
that need it, with the mode that it has here, and their users are others than the one who makes it. How a secret is
changed, infra/docker/README.md says: most are written into a database at the first start.
"""

from __future__ import annotations

import configparser
import io
import json
import os
import secrets
import sys
from pathlib import Path

ADMIN, BUCKET = "admin", "mlflow"
# What MLflow does with its artifacts, in the one bucket that is its own.
ACTIONS = [f"{action}:{BUCKET}" for action in ("Read", "Write", "List", "Tagging")]


def contents() -> dict[str, str]:
    """New secrets: file name -> text. What belongs together agrees."""
    password, access_key, secret_key = secrets.token_urlsafe(24), secrets.token_hex(10), secrets.token_urlsafe(30)
    credentials = configparser.ConfigParser()
    credentials["default"] = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    text = io.StringIO()
    credentials.write(text)
    keys = [{"accessKey": access_key, "secretKey": secret_key}]
    return {
        "ray_token": secrets.token_hex(32),
        "postgres_password": secrets.token_urlsafe(24),
        "mlflow_database_password": secrets.token_urlsafe(24),
        "mlflow_session_key": secrets.token_hex(32),
        "mlflow_admin_password": password,
        # Jobs read this one: DQ_LOGIN_FILE.
        "mlflow_login": f"MLFLOW_TRACKING_USERNAME={ADMIN}\nMLFLOW_TRACKING_PASSWORD={password}\n",
        "objects_credentials": text.getvalue(),
        "objects_identities": json.dumps(
            {"identities": [{"name": BUCKET, "credentials": keys, "actions": ACTIONS}]}, indent=1
        ),
    }


def write(folder: Path) -> None:
    """Write them.

    Raises:
        OSError: the folder is there already, or cannot be made.
    """
    folder.mkdir(mode=0o700)
    folder.chmod(0o700)  # whatever the umask
    for name, text in contents().items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
            file.write(text)
        (folder / name).chmod(0o444)


def main(arguments: list[str]) -> int:
    """See the module's docstring; exit code 2 is a mistake, which one sentence on stderr tells."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        write(folder)
    except OSError as error:
        print(
            f"make_secrets.py: {folder}: {error.strerror}. Allowed: a folder that is not there yet, in one that can be "
            "written. Change: name another folder. Databases know the secrets of an old one: remove it with their "
            "volumes, or not at all.",
            file=sys.stderr,
        )
        return 2
    print(f"{folder}: {len(contents())} secrets; `docker compose -f infra/compose.yaml up` reads them")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
