"""The rendered manifests, and the processes that their containers would be."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from chaos.fault import AbsentError, BrokenError

OVERLAYS = Path(__file__).parents[1] / "overlays"


@dataclass(frozen=True, kw_only=True)
class Process:
    """What a container would run.

    Args:
        command: with `$(NAME)` replaced.
        environment: nothing but what the manifest gives, and where commands are found.
        tmp: the folder that stands for its /tmp.
        writable: folders that it may write to: /tmp and other empty ones.
    """

    command: list[str]
    environment: dict[str, str]
    tmp: Path
    writable: tuple[Path, ...]


class Manifests:
    """An overlay, as `kubectl kustomize` renders it.

    Args:
        overlay: its name.
        secrets: what a person makes by hand: values by key, by name of the Secret.
        config_maps: likewise.
        changes: settings of the ConfigMap `mlflow-settings` that are others here, e.g. endpoints.

    Raises:
        AbsentError: no kubectl.
        BrokenError: it does not render.
    """

    def __init__(
        self,
        overlay: str,
        *,
        secrets: Mapping[str, Mapping[str, str]],
        config_maps: Mapping[str, Mapping[str, str]],
        changes: Mapping[str, str],
    ) -> None:
        self.documents = rendered(overlay)
        self.secrets, self.config_maps = secrets, dict(config_maps)
        for document in self.documents:
            if document["kind"] == "ConfigMap":
                name = re.sub("-[0-9a-z]{10}$", "", document["metadata"]["name"])
                self.config_maps[name] = document["data"] | (changes if name == "mlflow-settings" else {})

    def process(self, kind: str, name: str, container: str, folder: Path, path: str) -> Process:
        """A container as a process.

        Args:
            kind: of the object that its pod belongs to.
            name: likewise.
            container: its name; an init container's, too.
            folder: what it mounts is made below it.
            path: where its commands are found, as in PATH.
        """
        pod = self.pod(kind, name)
        found = next(one for one in (*pod.get("initContainers", []), *pod["containers"]) if one["name"] == container)
        mounts = {
            mount["mountPath"]: self._mounted(pod, mount["name"], folder / mount["name"])
            for mount in found["volumeMounts"]
        }
        values = dict(self._environment(found.get("env", [])))
        words = [
            re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], word)
            for word in (*found.get("command", []), *found.get("args", []))
        ]
        empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
        tmp = mounts.get("/tmp", folder / "tmp")
        tmp.mkdir(parents=True, exist_ok=True)
        environment = {key: _moved(value, mounts) for key, value in values.items()}
        return Process(
            command=[_moved(word, mounts) for word in words],
            environment={"HOME": str(tmp), **environment, "PATH": path, "TMPDIR": str(tmp), "LANG": "C.UTF-8"},
            tmp=tmp,
            writable=(tmp, *(folder / mount["name"] for mount in found["volumeMounts"] if mount["name"] in empty)),
        )

    def pod(self, kind: str, name: str) -> dict[str, Any]:
        """The pod's specification of an object."""
        found = next(one for one in self.documents if (one["kind"], one["metadata"]["name"]) == (kind, name))
        spec: dict[str, Any] = found["spec"]
        spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
        pod: dict[str, Any] = spec["template"]["spec"]
        return pod

    def _environment(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        for entry in entries:
            if "value" in entry:
                yield entry["name"], entry["value"]
                continue
            ((kind, source),) = entry["valueFrom"].items()
            values = self._values(kind == "secretKeyRef", source["name"])
            if source["key"] in values:
                yield entry["name"], values[source["key"]]
            elif not source.get("optional"):
                raise BrokenError(f"{entry['name']}: no {source['key']} in {source['name']}")

    def _values(self, is_secret: bool, name: str) -> Mapping[str, str]:
        plain = name if is_secret else re.sub("-[0-9a-z]{10}$", "", name)
        return (self.secrets if is_secret else self.config_maps).get(plain, {})

    def _mounted(self, pod: Mapping[str, Any], volume: str, folder: Path) -> Path:
        """A volume as a folder with the files of its ConfigMap or Secret."""
        found = next(one for one in pod["volumes"] if one["name"] == volume)
        folder.mkdir(parents=True, exist_ok=True)
        if "configMap" in found or "secret" in found:
            name = found["configMap"]["name"] if "configMap" in found else found["secret"]["secretName"]
            for file, text in self._values("secret" in found, name).items():
                (folder / file).write_text(text)
        return folder


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay.

    Raises:
        AbsentError: no kubectl.
        BrokenError: it does not render.
    """
    try:
        answer = subprocess.run(["kubectl", "kustomize", str(OVERLAYS / overlay)], capture_output=True, text=True)
    except FileNotFoundError:
        raise AbsentError("kubectl is not in PATH: install it (its `kustomize` renders the manifests)") from None
    if answer.returncode:
        raise BrokenError(f"overlay {overlay} does not render: {answer.stderr[-500:]}")
    return list(yaml.safe_load_all(answer.stdout))


def setting(overlay: str, name: str) -> str:
    """A value of the ConfigMap `mlflow-settings`.

    Raises:
        AbsentError: no kubectl.
        BrokenError: the overlay does not render.
    """
    found = next(one for one in rendered(overlay) if one["metadata"]["name"].startswith("mlflow-settings-"))
    return str(found["data"][name])


def _moved(text: str, mounts: Mapping[str, Path]) -> str:
    """A path inside a container as one here."""
    for inside, here in mounts.items():
        if text == inside or text.startswith(f"{inside}/"):
            return f"{here}{text.removeprefix(inside)}"
    return text
