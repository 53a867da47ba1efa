"""Bring the databases of runs and of users to the schema of the installed MLflow; harmless where they have it.

    python migrate.py postgresql+psycopg2:///mlflow

Pods that start at the same time wait for each other: `mlflow db upgrade` itself takes no lock. Host, user and password
come from PGHOST, PGPORT, PGUSER and PGPASSWORD. Exit code 2: PostgreSQL does not let us in.
"""

import configparser
import os
import subprocess
import sys
import time

import psycopg2  # type: ignore[import-untyped]

LOCK = 7_316_001  # any number that nobody else uses in this database
WAIT_SECONDS = 60.0


def connected(address: str) -> "psycopg2.extensions.connection":
    """A connection, as soon as PostgreSQL takes one.

    Raises:
        SystemExit: it does not for a minute.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return psycopg2.connect(address.replace("+psycopg2", ""))  # SQLAlchemy's, which libpq does not know
        except psycopg2.OperationalError as error:
            if time.monotonic() > deadline:
                where = f"{os.environ.get('PGHOST')}:{os.environ.get('PGPORT')}"
                print(f"migrate: {address} at {where}: {error}", file=sys.stderr)
                print("Change: the Secret mlflow-postgresql-app, PGSSLMODE, or network policies", file=sys.stderr)
                raise SystemExit(2) from None
            time.sleep(2)


def users_address() -> str:
    """The address of the users' database, from the same file that the server reads."""
    config = configparser.ConfigParser()
    with open(os.environ["MLFLOW_AUTH_CONFIG_PATH"]) as file:  # noqa: PTH123  # as everything here: for a server's image
        config.read_file(file)
    return config["mlflow"]["database_uri"]


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    (runs,), users = arguments, users_address()
    commands = (
        [sys.executable, "-m", "mlflow", "db", "upgrade", runs],
        [sys.executable, "-m", "mlflow.server.auth", "db", "upgrade", "--url", users],
    )
    holder = connected(runs)
    connected(users).close()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        for command in commands:
            subprocess.run(command, check=True)
    holder.close()  # and with it the lock
    print("migrate: both databases have the schema of this MLflow")


if __name__ == "__main__":
    main(sys.argv[1:])
