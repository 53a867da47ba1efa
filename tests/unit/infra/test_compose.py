"""`infra/compose.yaml`: one machine's containers may do no more than they must, and what they are told exists."""

import re

import pytest
import yaml
from docker_files import stages
from infra_scripts import script
from repository import ROOT

PATH = ROOT / "infra" / "compose.yaml"
TEXT = PATH.read_text()
DIGEST = f"sha256:{'0' * 64}"
GIVEN = dict.fromkeys(("PYTHON_DIGEST", "POSTGRES_DIGEST", "SEAWEEDFS_DIGEST"), DIGEST) | {"DQ_VERSION": "1.2.3"}
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}")


def filled(text):
    """The file as compose reads it: variables replaced by what is given, or by their defaults."""
    return VARIABLE.sub(lambda found: GIVEN.get(found[1], found[3] or ""), text)


FILE = yaml.safe_load(filled(TEXT))
SERVICES = FILE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}


def words_of(service):
    """All that a service runs: entry point, command, health check."""
    parts = [service.get("entrypoint"), service.get("command"), service["healthcheck"].get("test")]
    return [word for part in parts for word in ([part] if isinstance(part, str) else part or [])]


def test_every_variable_has_a_default_or_a_sentence():
    """And stands in the example of infra/.env, which names no other."""
    found = VARIABLE.findall(TEXT)
    required = {name: text for name, operator, text in found if operator == ":?"}
    defaults = {name for name, operator, _ in found if operator == ":-"}
    assert {name for name, _, _ in found} == set(required) | defaults and not set(required) & defaults
    assert all("infra/.env" in text for text in required.values()) and set(required) == set(GIVEN)
    example = (ROOT / "infra" / "docker" / "compose.env").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", example, flags=re.M)) == set(required) | defaults


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_named_by_its_digest_or_built_here(name):
    """With a tag for people, which is never `latest`; the sentence for the digest names the same image."""
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in stages((ROOT / service["build"]["dockerfile"]).read_text())
        assert re.fullmatch(rf"dq-pipeline-{service['build']['target']}:1\.2\.3", service["image"])
        assert service["build"]["args"]["PYTHON_DIGEST"] == DIGEST and service["build"]["context"] == ".."
    else:
        image, _, digest = service["image"].partition("@")
        assert digest == DIGEST and re.fullmatch(r"[a-z/]+:\d[\w.-]*", image)
        assert re.search(
            rf"{re.escape(image)}@\$\{{[A-Z]+_DIGEST:\?[^}}]*`docker buildx imagetools inspect {image}`", TEXT
        )
    assert "latest" not in service["image"]


def test_two_doors_are_open_and_to_this_machine_alone():
    """Ray's dashboard and MLflow's pages."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"ray-head": ["127.0.0.1:8265:8265"], "mlflow": ["127.0.0.1:5000:5000"]}
    assert not any("expose" in service or service.get("network_mode") == "host" for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name):
    """No root, no privileges, no capabilities, nothing to write but what is mounted, bounds on what it takes."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0 and int(group) > 0
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"] and not service.get("privileged")
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert all("size=" in mount for mount in service["tmpfs"]) and service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_waited_for_in_the_right_way(name):
    """One that stays is asked whether it is healthy; one that ends, whether it has ended well."""
    assert ("test" in SERVICES[name]["healthcheck"]) == (name not in ONCE)
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_completed_successfully" if other in ONCE else "service_healthy"}
    assert SERVICES["mlflow"]["depends_on"].keys() == ONCE == {"migrations", "bucket"}


def test_the_database_and_the_store_are_reached_by_mlflow_alone():
    """Their network leads nowhere else; Ray is not in it."""
    inside = {name for name, service in SERVICES.items() if "tracking" in service.get("networks", [])}
    assert (
        inside == {"postgres", "objects", "mlflow", "migrations"} and FILE["networks"]["tracking"]["internal"] is True
    )
    both = {name for name in inside if "jobs" in SERVICES[name]["networks"]}
    assert both == {"mlflow"} and SERVICES["bucket"]["network_mode"] == "service:objects"
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0"} <= set(SERVICES["objects"]["command"])


def test_secrets_are_files_and_nobody_has_one_too_many():
    """Every one is made by the command that is documented, used, and named by its path alone."""
    made = set(script("docker/make_secrets.py").contents())
    assert {name: one["file"] for name, one in FILE["secrets"].items() if name != "pip_conf"} == {
        name: f"./secrets/{name}" for name in made
    }
    used = {name: set(service.get("secrets", [])) for name, service in SERVICES.items()}
    assert set.union(*used.values()) == made
    for name, service in SERVICES.items():
        text = " ".join([*words_of(service), *map(str, service.get("environment", {}).values())])
        named = set(re.findall(r"/run/secrets/(\w+)", text))
        named |= {"mlflow_database_password"} if name == "postgres" else set()  # infra/docker/postgres_init.sql
        assert named == used[name], name


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name):
    """What is called like one is a path."""
    service = SERVICES[name]
    pairs = [*service.get("environment", {}).items()]
    pairs += [tuple(word.split("=", 1)) for word in words_of(service) if re.match(r"[A-Z_]+=", word)]
    secret = [
        (key, value) for key, value in pairs if re.search(r"PASSWORD|TOKEN|SECRET|KEY|CREDENTIAL|LOGIN_FILE", key)
    ]
    assert all(str(value).startswith(("/run/secrets/", "/home/dq/")) for _, value in secret), secret
    assert not re.search(r"://[^/\s:]+:[^/\s]+@", str(service))


def test_what_is_mounted_or_run_from_the_repository_is_there():
    """Files beside this one, and files that the images have from it."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            is_file = source.startswith("./")
            assert (ROOT / "infra" / source).is_file() if is_file else source in FILE["volumes"], volume
            assert not is_file or volume.endswith(":ro")
        for path in re.findall(r"/opt/dq-pipeline/(\S+)", " ".join(words_of(service))):
            assert (ROOT / path).is_file()
        if "with-secrets" in words_of(service):
            assert "with_secrets.sh /usr/local/bin/with-secrets" in (ROOT / "infra/docker/Dockerfile").read_text()
    assert (ROOT / "infra" / FILE["secrets"]["pip_conf"]["file"]).is_file()


def options(words):
    return {re.sub(r"=.*", "", word) for word in words if word.startswith("--") and word != "--"}


def test_ray_and_mlflow_know_their_options():
    """As the versions that are installed say."""
    from mlflow.cli import cli
    from ray.scripts.scripts import start

    ray = {name for parameter in start.params for name in parameter.opts}
    for name in ("ray-head", "ray-worker"):
        assert options(SERVICES[name]["command"]) <= ray and "--block" in SERVICES[name]["command"]
    server = cli.get_command(None, "server")
    mlflow = {name for parameter in server.params for name in parameter.opts}
    words = SERVICES["mlflow"]["command"]
    assert {"--app-name", "--allowed-hosts"} <= options(words) <= mlflow


def test_mlflow_and_its_login_have_databases_that_are_made():
    """Under the names that the script of PostgreSQL's image gives them."""
    made = (ROOT / "infra" / "docker" / "postgres_init.sql").read_text()
    login = (ROOT / "infra" / "docker" / "mlflow_auth.ini").read_text()
    store = SERVICES["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert f"database_uri = {store}_auth\n" in login and "default_permission = NO_PERMISSIONS" in login
    for name in (store.rpartition("/")[2], f"{store.rpartition('/')[2]}_auth"):
        assert f"CREATE DATABASE {name} OWNER mlflow;" in made
