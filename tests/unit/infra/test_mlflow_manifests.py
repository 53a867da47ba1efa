"""`infra/mlflow`: what a reviewer of its manifests would look for, on the files as they lie there."""

import configparser
import re
from functools import cache

import pytest
import yaml
from repository import ROOT

FOLDER = ROOT / "infra" / "mlflow"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
SECRETS = {
    "mlflow-postgresql-app",
    "mlflow-server",
    "mlflow-object-store",
    "mlflow-backup-store",
    "postgresql-superuser",
}
WORKLOADS = {"Deployment", "StatefulSet", "CronJob", "Job", "DaemonSet"}


def documents():
    """(path, object) of all manifests."""
    return [(path, one) for path in FILES for one in yaml.safe_load_all(path.read_text())]


def pods():
    """Name -> specification of a pod."""
    found = {}
    for _, one in documents():
        if one["kind"] in WORKLOADS:
            spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
            found[one["metadata"]["name"]] = spec["template"]["spec"]
    return found


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


CONTAINERS = {f"{name}/{one['name']}": (pod, one) for name, pod in pods().items() for one in containers(pod)}


@cache
def server_options():
    """Names of the options that the installed `mlflow server` takes."""
    from mlflow.cli import cli

    return {
        name for parameter in cli.commands["server"].params for name in (*parameter.opts, *parameter.secondary_opts)
    }


def unknown_options(words):
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in server_options()]


def unrestricted(pod, container):
    """What keeps a container from the Pod Security Standard `restricted`, and from what is asked beyond it."""
    of_pod, own = pod.get("securityContext", {}), container.get("securityContext", {})
    kept = {
        "is not root": of_pod.get("runAsNonRoot") is True and of_pod.get("runAsUser") == 10001,
        "the default profile of system calls": of_pod.get("seccompProfile") == {"type": "RuntimeDefault"},
        "no more privileges": own.get("allowPrivilegeEscalation") is False,
        "no capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "a root file system that is read": own.get("readOnlyRootFilesystem") is True,
        "nothing of the host": not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
        "no token": pod.get("automountServiceAccountToken") is False,
        "an account of its own": pod.get("serviceAccountName", "default") != "default",
        "a limit of memory": {"cpu", "memory"} <= container["resources"]["requests"].keys()
        and "memory" in container["resources"]["limits"],
        "volumes that need no rights": all(
            {"configMap", "secret", "emptyDir", "persistentVolumeClaim"} & volume.keys() for volume in pod["volumes"]
        ),
    }
    return [name for name, is_so in kept.items() if not is_so]


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_restricted(name):
    """Its pod is nobody's root, writes to its volumes alone and speaks to no Kubernetes."""
    assert unrestricted(*CONTAINERS[name]) == []


def test_one_that_is_not_is_found():
    """A container as tutorials have it."""
    bare = {"resources": {"requests": {"cpu": 1, "memory": 1}, "limits": {"memory": 1}}}
    found = unrestricted({"volumes": [{"hostPath": {"path": "/"}}], "hostNetwork": True}, bare)
    assert len(found) == 9 and "a limit of memory" not in found


def test_the_server_is_started_with_options_that_it_has():
    """Those of the installed version; a word that it does not know would end it."""
    _, server = CONTAINERS["mlflow/mlflow"]
    assert server["command"] == ["mlflow", "server"] and len(server["args"]) > 5
    assert unknown_options(server["args"]) == []
    assert unknown_options(["--allowed-host=*", "--host=0.0.0.0"]) == ["--allowed-host=*"]


def test_the_server_asks_for_a_login_and_keeps_the_stores_keys():
    """basic-auth is on, artifacts go through the proxy, and no client is told another place."""
    _, server = CONTAINERS["mlflow/mlflow"]
    assert {"--app-name=basic-auth", "--serve-artifacts"} <= set(server["args"])
    names = {word.partition("=")[0] for word in server["args"]}
    assert not names & {"--default-artifact-root", "--disable-security-middleware", "--no-serve-artifacts"}


def test_what_is_migrated_is_what_is_served():
    """The init container upgrades the databases that the server and its list of users have."""
    _, migrate = CONTAINERS["mlflow/migrate"]
    _, server = CONTAINERS["mlflow/mlflow"]
    (address,) = [word.partition("=")[2] for word in server["args"] if word.startswith("--backend-store-uri=")]
    assert migrate["command"][-1] == address
    users = configparser.ConfigParser()
    users.read(FOLDER / "base" / "basic_auth.ini")
    own = address.rpartition("/")[2]
    others = users["mlflow"]["database_uri"].rpartition("/")[2]
    assert own != others
    for script in ("dump.sh", "restore.sh"):
        assert f"for database in {own} {others}; do" in (FOLDER / "base" / "scripts" / script).read_text()


def logins_in(text):
    """Addresses that hold one."""
    return re.findall(r"\w+://[^/\s]*@", text)


def test_no_address_holds_a_login():
    """Neither in manifests nor in what they mount; a password would need its signs replaced there, too."""
    found = {
        path.name: logins_in(path.read_text()) for path in FOLDER.rglob("*") if path.suffix in {".yaml", ".ini", ".sh"}
    }
    assert len(found) > 10 and not any(found.values())
    assert logins_in("uri = postgresql://mlflow:pass@host/db")


@pytest.mark.parametrize("name", CONTAINERS)
def test_logins_come_from_secrets(name):
    """Every variable that is called like one; and the Secrets are those that the README says how to make."""
    readme = (FOLDER / "README.md").read_text()
    _, container = CONTAINERS[name]
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        is_secret = re.search("PASSWORD$|SECRET|ACCESS_KEY|PGUSER|ADMIN_USERNAME", entry["name"])
        assert bool(is_secret or entry["name"] in {"PGHOST", "PGPORT", "MLFLOW_USER"}) == (source is not None), entry
        if source is not None:
            assert source["name"] in SECRETS and source["name"] in readme and source["key"] in readme


def test_secrets_are_made_by_hand():
    """None lies here, not even an empty one, and none is generated."""
    assert [str(path) for path, one in documents() if one["kind"] == "Secret"] == []
    assert not any("secretGenerator" in yaml.safe_load(path.read_text()) for path in KUSTOMIZATIONS)


def overlays():
    """Name -> its images by name, with those of the overlays below it."""
    found = {}
    for path in (path for path in KUSTOMIZATIONS if path.parent.parent.name == "overlays"):
        text = yaml.safe_load(path.read_text())
        below = [(path.parent / one).resolve() for one in text["resources"] if (path.parent / one).is_dir()]
        own = {image["name"]: image for image in text.get("images", [])}
        found[path.parent.name] = {
            name: one for folder in below for name, one in found.get(folder.name, {}).items()
        } | own
    return found


def used(overlay):
    """Names of the images of its manifests."""
    folders = [FOLDER / "base", *([FOLDER / "overlays" / overlay] if overlay == "dev" else [])]
    return {
        container["image"]
        for path in FILES
        if path.parent in folders
        for one in yaml.safe_load_all(path.read_text())
        if one["kind"] in WORKLOADS
        for container in containers((one["spec"].get("jobTemplate") or one)["spec"]["template"]["spec"])
    }


@pytest.mark.parametrize("overlay", ["dev", "prod", "prod-ingress"])
def test_every_image_has_a_version(overlay):
    """Said by the overlay for every name that the manifests use; in production a digest, and never `latest`."""
    images = overlays()[overlay]
    assert used(overlay) == images.keys()
    for image in images.values():
        version = image.get("digest") or image["newTag"]
        assert version != "latest" and ":" not in image["newName"]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", version) or (overlay == "dev" and re.match(r"\d+\.\d+", version))
    assert not [path for path in FOLDER.rglob("*") if path.is_file() and ":latest" in path.read_text()]


def test_the_versions_are_those_that_are_tested():
    """The tag of `dev` and the page name the MLflow of infra/constraints.txt, of which the image is made."""
    pinned = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "infra" / "constraints.txt").read_text()))
    assert pinned["mlflow"] == overlays()["dev"]["mlflow-server"]["newTag"]
    assert f"MLflow {pinned['mlflow']} with logins" in (FOLDER / "README.md").read_text()


def test_the_service_is_let_in_under_each_of_its_names():
    """MLflow compares Host with its list, port included; the list of the ingress has them, too, and its own."""
    (service,) = [one for _, one in documents() if one["kind"] == "Service" and one["metadata"]["name"] == "mlflow"]
    (port,) = [one["port"] for one in service["spec"]["ports"]]
    (namespace,) = [one["metadata"]["name"] for _, one in documents() if one["kind"] == "Namespace"]
    names = [
        f"mlflow{rest}:{port}" for rest in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    ]
    hosts = {path.parent.name: setting(path, "ALLOWED_HOSTS") for path in KUSTOMIZATIONS}
    assert set(names) < set(hosts["base"]) < set(hosts["ingress"]) and "*" not in hosts["ingress"]
    (public,) = set(hosts["ingress"]) - set(hosts["base"])
    assert setting(FOLDER / "components" / "ingress" / "kustomization.yaml", "CORS_ALLOWED_ORIGINS") == [
        f"https://{public}"
    ]
    (ingress,) = [one for _, one in documents() if one["kind"] == "Ingress"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ingress["spec"]["tls"][0]["hosts"] == [public]


def setting(path, name):
    """Values of a setting of a kustomization, between commas."""
    generators = yaml.safe_load(path.read_text()).get("configMapGenerator", [])
    literals = [one for generator in generators for one in generator.get("literals", [])]
    return [part for one in literals if one.startswith(f"{name}=") for part in one.partition("=")[2].split(",")]


def test_nothing_comes_in_or_goes_out_but_what_is_said():
    """All is denied first; who may come to MLflow, to PostgreSQL and to the store are those and no others."""
    policies = {one["metadata"]["name"]: one["spec"] for _, one in documents() if one["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (jobs,) = policies["mlflow-from-jobs"]["ingress"][0]["from"]
    assert jobs["podSelector"]["matchLabels"] == {"dq.access/mlflow": "true"}
    assert jobs["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "dq"}
    for name in ("postgresql-from-mlflow", "object-store-from-mlflow"):
        (clients,) = policies[name]["ingress"][0]["from"]
        (expression,) = clients["podSelector"]["matchExpressions"]
        assert clients.keys() == {"podSelector"} and expression["values"] == ["mlflow", "mlflow-backup"]
    for name, policy in policies.items():
        for rule in (*policy.get("ingress", []), *policy.get("egress", [])):
            assert rule["ports"] and (rule.get("from") or rule.get("to")), name


def test_the_folder_does_not_stand_for_the_package():
    """`infra` is on the path of its scripts: a module there that is called mlflow would be imported instead."""
    assert not (FOLDER / "__init__.py").exists() and not (ROOT / "infra" / "mlflow.py").exists()
