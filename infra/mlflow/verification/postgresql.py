"""A PostgreSQL of its own, set up as the dev overlay's StatefulSet sets it up; with TLS where an overlay wants it."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from pathlib import Path

from chaos.fault import AbsentError

from verification.manifests import rendered
from verification.processes import NOBODY, Service, done, free_port, give, run

SUPERUSER, SUPERUSER_PASSWORD = "postgres", "Kaese%brot 1"
ROLE, PASSWORD = "mlflow", "p@ss/w:ord %2F?#'\""  # each of these would need an escape in an address
TOOLS = ("initdb", "postgres", "psql", "pg_dump", "pg_restore", "pg_isready")


class PostgreSQL:
    """An instance with the role and the two databases of MLflow, stopped until it is started.

    Args:
        binaries: folder with `TOOLS`.
        folder: of its own.
        has_tls: whether it takes encrypted connections, and no others.

    Raises:
        AbsentError: a tool is missing.
    """

    def __init__(self, binaries: Path, folder: Path, *, has_tls: bool) -> None:
        missing = [tool for tool in TOOLS if not (binaries / tool).is_file()]
        if missing:
            raise AbsentError(
                f"no {', '.join(missing)} in {binaries}: apt-get install postgresql, or --postgresql FOLDER"
            )
        self.binaries, self.folder, self.data = binaries, folder, folder / "data"
        self.port, self.has_tls = free_port(), has_tls
        documents = {(one["kind"], one["metadata"]["name"]): one for one in rendered("dev")}
        (container,) = documents["StatefulSet", "postgresql"]["spec"]["template"]["spec"]["containers"]
        self.options = container["args"][1:]  # after `postgres`
        environment = {one["name"]: one.get("value", "") for one in container["env"]}
        self.initdb_options = shlex.split(environment["POSTGRES_INITDB_ARGS"])
        init = next(one for key, one in documents.items() if re.match("postgresql-init-", key[1]))
        self.script: str = init["data"]["databases.sh"]

    def create(self) -> None:
        """What the image's entrypoint does with an empty volume.

        Raises:
            BrokenError: a step fails.
        """
        self.folder.mkdir(parents=True)
        (self.folder / "superuser").write_text(SUPERUSER_PASSWORD + "\n")
        (self.folder / "databases.sh").write_text(self.script)
        give(self.folder, NOBODY)
        certificate = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ]
        certificate += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.crt"]
        done(run(certificate, self._environment(), self.folder, uid=NOBODY), "openssl")
        initdb = [str(self.binaries / "initdb"), f"--pgdata={self.data}", f"--username={SUPERUSER}"]
        initdb += ["--pwfile=superuser", *self.initdb_options]
        done(run(initdb, self._environment(), self.folder, uid=NOBODY), "initdb")
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host{'ssl' if self.has_tls else ''} all all all scram-sha-256\n")
        self.start()
        login = {"POSTGRES_USER": SUPERUSER, "PGPASSWORD": SUPERUSER_PASSWORD, "PGHOST": str(self.folder)}
        login |= {"PGPORT": str(self.port), "MLFLOW_USER": ROLE, "MLFLOW_PASSWORD": PASSWORD}
        # Sourced, as the entrypoint does with what is not executable.
        done(
            run(["bash", "-ec", ". ./databases.sh"], self._environment() | login, self.folder, uid=NOBODY),
            "databases.sh",
        )

    def start(self) -> float:
        """Start it, and return the seconds until it takes connections."""
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *self.options]
        # What the pod has by itself: its address, port and a folder for the socket.
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}"]
        if self.has_tls:
            files = (f"ssl_cert_file={self.folder / 'server.crt'}", f"ssl_key_file={self.folder / 'server.key'}")
            settings += ["ssl=on", *files]
        for setting in settings:
            command += ["-c", setting]
        self.service = Service(command, self._environment(), self.folder / "postgresql.log", NOBODY)
        ready = [str(self.binaries / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        return self.service.start(lambda: subprocess.run(ready).returncode == 0)

    def crash(self) -> None:
        """End all of its processes at once, as a lost node does: the next start replays the log."""
        self.service.stop(signal.SIGKILL)

    def stop(self) -> None:
        """End it, if it runs, as its image's stop signal does; killed, it would leave shared memory behind."""
        if hasattr(self, "service"):
            self.service.stop(signal.SIGINT)

    def query(self, sql: str, database: str = "mlflow") -> str:
        """What a statement gives, as the superuser: columns by |, rows by lines."""
        command = [str(self.binaries / "psql"), "-XAtc", sql, f"--dbname={database}", f"--username={SUPERUSER}"]
        login = {"PGHOST": str(self.folder), "PGPORT": str(self.port), "PGPASSWORD": SUPERUSER_PASSWORD}
        return done(run(command, self._environment() | login, self.folder, uid=NOBODY), sql).strip()

    def version(self) -> str:
        """E.g. 18.6."""
        return self.query("SHOW server_version").split()[0]

    @property
    def secret(self) -> dict[str, str]:
        """What the Secret `mlflow-postgresql-app` would hold."""
        return {"host": "127.0.0.1", "port": str(self.port), "username": ROLE, "password": PASSWORD}

    @property
    def certificate(self) -> str:
        """What the ConfigMap `mlflow-postgresql-ca` would hold."""
        return (self.folder / "server.crt").read_text()

    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{self.binaries}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder)}
