"""What the claims share: where they are tried, and what was seen so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verification.postgresql import PostgreSQL
from verification.processes import done
from verification.servers import Place, Server
from verification.sweeps import Sweeps

JOB, READER = ("dq-jobs", "Wort-mit:und@/%2F #"), ("reader", "liest-nur-alles")


@dataclass(kw_only=True)
class Stage:
    """What the claims share, in the order in which they are tried.

    Args:
        place: of the servers.
        second: an empty PostgreSQL, for restores.
        folder: for everything else.
    """

    place: Place
    second: PostgreSQL
    folder: Path
    servers: list[Server] = field(default_factory=list)
    undisturbed: dict[str, Any] = field(default_factory=dict)

    @property
    def sweeps(self) -> Sweeps:
        """Of the user that jobs have."""
        return Sweeps(self.folder / "sweeps", JOB)


class restored:  # noqa: N801  # as contextlib's
    """A server on the second PostgreSQL, into which the newest backup was restored."""

    def __init__(self, stage: Stage) -> None:
        first = stage.place
        self.place = Place(
            overlay=first.overlay,
            postgresql=stage.second,
            store=first.store,
            python=first.python,
            folder=stage.folder / "restored",
        )

    def __enter__(self) -> Server:
        self.place.job("mlflow-restore", "restore")
        migrate(self.place, "server")
        self.server = Server(self.place, "server")
        self.server.start()
        return self.server

    def __exit__(self, *exception: object) -> None:
        self.server.stop()


def migrate(place: Place, pod: str) -> str:
    """Run the Deployment's init container.

    Raises:
        BrokenError: it fails.
    """
    return done(place.run("Deployment", "mlflow", "migrate", pod), "migrate")


def schema(postgresql: PostgreSQL) -> dict[str, Any]:
    """Tables, columns and revisions of both databases."""
    public = "WHERE table_schema = 'public'"
    columns = f"SELECT table_name, column_name, data_type FROM information_schema.columns {public} ORDER BY 1, 2"
    tables = f"SELECT count(*) FROM information_schema.tables {public}"
    names = {"mlflow": "alembic_version", "mlflow_auth": "alembic_version_auth"}
    return {
        "revisions": [postgresql.query(f"SELECT version_num FROM {table}", name) for name, table in names.items()],
        "tables": [int(postgresql.query(tables, name)) for name in names],
        "columns": [postgresql.query(columns, name) for name in names],
    }
