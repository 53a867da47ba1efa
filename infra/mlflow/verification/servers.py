"""MLflow's server and the other containers of its namespace, as processes with the manifests' commands."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verification.manifests import Manifests, Process
from verification.postgresql import PostgreSQL
from verification.processes import Service, asked, done, free_port, give, run
from verification.stores import KEY, ObjectStore

ADMIN, ADMIN_PASSWORD = "admin", "vierzehn-Zeichen"
LOCAL = {"--host=0.0.0.0": "--host=127.0.0.1"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where containers run.

    Args:
        overlay: whose manifests they have.
        postgresql: that they find.
        store: likewise.
        python: of the server's image.
        folder: what they mount is made below it.
    """

    overlay: str
    postgresql: PostgreSQL
    store: ObjectStore
    python: str
    folder: Path

    def manifests(self) -> Manifests:
        """With the Secrets and ConfigMaps that a person makes by hand."""
        secrets = {
            "mlflow-postgresql-app": self.postgresql.secret,
            "mlflow-server": {
                "admin-username": ADMIN,
                "admin-password": ADMIN_PASSWORD,
                "secret-key": "the same for all",
            },
            "mlflow-object-store": KEY,
            "mlflow-backup-store": KEY,
        }
        endpoints = {"S3_ENDPOINT_URL": self.store.url, "BACKUP_ENDPOINT_URL": self.store.url}
        authority = {"mlflow-postgresql-ca": {"ca.crt": self.postgresql.certificate}}
        return Manifests(self.overlay, secrets=secrets, config_maps=authority, changes=endpoints)

    def process(self, kind: str, name: str, container: str, pod: str) -> Process:
        """A container of a pod that is called so here."""
        folder = self.folder / pod
        path = f"{Path(self.python).parent}:{self.postgresql.binaries}:/usr/bin:/bin"
        process = self.manifests().process(kind, name, container, folder, path)
        for writable in process.writable:
            give(writable)
        return process

    def run(
        self, kind: str, name: str, container: str, pod: str, changes: Mapping[str, str] | None = None, said: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        process = self.process(kind, name, container, pod)
        return run(process.command, process.environment | dict(changes or {}), process.tmp, said=said)

    def job(self, name: str, pod: str, changes: Mapping[str, str] | None = None) -> str:
        """Run the containers of a CronJob's pod after one another, and return what the last one printed.

        Raises:
            BrokenError: one fails.
        """
        spec = self.manifests().pod("CronJob", name)
        printed = ""
        for container in (*spec["initContainers"], *spec["containers"]):
            answer = self.run("CronJob", name, container["name"], pod, changes)
            printed = done(answer, f"{name}, container {container['name']}")
        return printed


class Server:
    """A pod of the Deployment, stopped until it is started.

    Args:
        place: where.
        pod: its name.
        port: that it had before; none: a free one.
    """

    def __init__(self, place: Place, pod: str, port: int | None = None) -> None:
        self.place, self.pod, self.port = place, pod, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        process = place.process("Deployment", "mlflow", "mlflow", pod)
        changed = LOCAL | {"--port=5000": f"--port={self.port}"}
        command = [changed.get(word, word) for word in process.command]
        self.process = process
        self.service = Service(command, process.environment, process.tmp / "server.log")

    def start(self) -> float:
        """Start it, and return the seconds until /health answers."""
        return self.service.start(lambda: asked(f"{self.url}/health", 5.0)[0] == 200)

    def kill(self) -> None:
        """End all of its processes at once."""
        self.service.stop(signal.SIGKILL)

    def stop(self) -> None:
        """As Kubernetes does it."""
        self.service.stop()

    def set_user(self, name: str, password: str) -> subprocess.CompletedProcess[str]:
        """What README says to make a user or to change a password."""
        script = str(self.place.folder / self.pod / "scripts" / "set_user.py")
        environment = self.process.environment | {"MLFLOW_URL": self.url}
        return run(["python", script, name], environment, self.process.tmp, said=f"{password}\n")

    def ask(
        self,
        path: str,
        login: tuple[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> tuple[int, bytes]:
        """(status, body) of a request."""
        sent = dict(headers or {})
        if login is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        return asked(urllib.request.Request(f"{self.url}{path}", data, sent, method=method))
