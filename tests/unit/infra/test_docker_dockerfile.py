"""`infra/docker/Dockerfile`: three images that are pinned, small, and nobody's root."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib

import pytest
from docker_files import DOCKERFILE, all_of, copied, ignore_patterns, instructions, is_ignored, stages
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from repository import ROOT

TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = ["mlflow", "runtime", "train"]
DOCKER = ROOT / "infra" / "docker"
BASE = re.compile(r"([a-z/]+):(\d+\.\d+)[a-z0-9.-]*@\$\{DIGEST\}")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(requirements):
    """Packages that requirements lead to, as they are installed here, without the project itself."""
    seen, pending = {}, [Requirement(one) for one in requirements]
    while pending:
        one = pending.pop()
        name, extras = normal(one.name), {"", *one.extras}
        if extras <= seen.get(name, set()):
            continue
        seen[name] = seen.get(name, set()) | extras
        if name == "dq-pipeline":
            pending += [Requirement(two) for extra in one.extras for two in PROJECT["optional-dependencies"][extra]]
            continue
        for two in map(Requirement, importlib.metadata.requires(one.name) or []):
            if two.marker is None or any(two.marker.evaluate({"extra": extra}) for extra in extras):
                pending.append(two)
    return set(seen) - {"dq-pipeline"}


def listed(name):
    lines = (DOCKER / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_image_begins_with_one_that_its_digest_names():
    """The digest is an argument without which a build ends with a sentence, and the sentence names the same image."""
    known = stages(TEXT)
    begun = {base for base, _ in known.values()} - set(known)
    assert len(begun) == 1 and (base := BASE.fullmatch(begun.pop()))
    arguments = dict(rest.partition("=")[::2] for name, rest in instructions(TEXT) if name == "ARG")
    assert arguments["PYTHON_DIGEST"] == ""
    sentence = re.fullmatch(r'"\$\{PYTHON_DIGEST:\?([^{}"]+)\}"', arguments["DIGEST"])[1]
    assert base[0].partition("@")[0] in sentence and "--build-arg PYTHON_DIGEST=sha256:" in sentence
    assert "latest" not in TEXT


def test_its_python_is_one_that_the_project_allows():
    """And the one that the locks of torch are for."""
    version = BASE.search(TEXT)[2]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version}.0")
    for lock in ("torch-cpu.lock", "torch-cuda.lock"):
        assert f"Python {version}" in (ROOT / "infra" / lock).read_text().replace("\n# ", " ")
    assert f"lib/python{version}/site-packages" in TEXT


@pytest.mark.parametrize("stage", stages(TEXT))
def test_what_is_copied_is_there_and_reaches_the_build(stage):
    """Neither renamed nor kept out by .dockerignore."""
    patterns = ignore_patterns()
    for source in copied(stages(TEXT)[stage][1]):
        path = ROOT / source
        assert path.exists(), source
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        sent = [one for one in files if not is_ignored(one.relative_to(ROOT), patterns)]
        kept = {one.suffix for one in files if "__pycache__" not in one.parts} - {one.suffix for one in sent}
        assert sent and kept <= {".md"}, source


def test_nothing_reaches_the_build_that_is_not_copied():
    """Secrets, histories, runs and environments least of all."""
    patterns, sources = ignore_patterns(), [ROOT / one for _, own in stages(TEXT).values() for one in copied(own)]
    others = [
        ".git/config",
        ".venv/bin/python",
        "runs/a",
        "infra/.env",
        "infra/secrets/ray_token",
        "x.py",
        "infra/x.py",
    ]
    others += ["pipeline/x/__pycache__/a.pyc", "tests/unit/test_structure.py", "conf/README.md"]
    assert [one for one in others if not is_ignored(one, patterns)] == []
    for folder in ("conf", "infra", "jobs", "pipeline"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and not is_ignored(path.relative_to(ROOT), patterns):
                assert any(path == source or source in path.parents for source in sources), path


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_s_root_under_an_init_and_can_be_asked(target):
    """The last of each instruction counts; numbers, because Kubernetes cannot tell whether a name is root."""
    own = dict(all_of(TEXT, target))  # the last one of each
    assert own["USER"] == "10001:10001" and own["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(own["ENTRYPOINT"])[:2] == ["/usr/bin/tini", "--"]
    assert own["HEALTHCHECK"] == "NONE" if target == "runtime" else "CMD [" in own["HEALTHCHECK"]
    labels = " ".join(rest for name, rest in all_of(TEXT, target) if name == "LABEL")
    wanted = ("version", "revision", "source", "licenses", "title", "description")
    assert [one for one in wanted if f"org.opencontainers.image.{one}=" not in labels] == []


def pip_installs(stage_instructions):
    """Commands of a stage by which pip installs something."""
    parts = [part for name, rest in stage_instructions if name == "RUN" for part in rest.split(" && ")]
    return [part for part in parts if re.search(r"\bpip\b.* install ", part)]


def test_an_image_gets_packages_alone_from_where_they_are_installed():
    """What fetches and builds them stays behind; each of them is known by its hash."""
    for target in TARGETS:
        own = all_of(TEXT, target)
        assert [rest for name, rest in own if "--from=" in rest] == [f"--from={target}-packages /opt/venv /opt/venv"]
        assert not pip_installs(own) and any("pip uninstall" in rest for name, rest in own if name == "RUN")
    installs = pip_installs(instructions(TEXT))
    assert len(installs) == 4 and all("--require-hashes" in part for part in installs)


@pytest.mark.parametrize("target", TARGETS)
def test_a_list_names_what_the_image_needs(target):
    """No more and no less: as this environment's packages say; torch comes from a lock file of its own."""
    wanted = {"mlflow": ["mlflow"], "runtime": ["dq-pipeline[runtime]"], "train": ["dq-pipeline[train]"]}[target]
    assert listed(target) == sorted(needed(wanted) - {"torch"})


def test_what_the_tracking_server_needs_besides_is_pinned_once():
    """Neither in the project's lock file nor as a version in a second file of infra/docker."""
    own = set(re.findall(r"^([a-z0-9-]+)==", (DOCKER / "mlflow.lock").read_text(), flags=re.M))
    project = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "infra" / "requirements.lock").read_text(), flags=re.M))
    assert {"psycopg2-binary", "boto3", "flask-wtf"} <= own and not own & project
    others = [path.read_text() for path in DOCKER.iterdir() if path.is_file() and path.name != "mlflow.lock"]
    assert not [text for text in others if re.search(r"[A-Za-z0-9]==\d", text)]


def test_the_runtime_holds_the_packages_that_it_imports():
    """And no other part of the pipeline."""
    program = "import sys, pipeline.runtime.command\n"
    program += "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('pipeline.')}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    sources = {source for source in copied(stages(TEXT)["runtime"][1]) if source.startswith("pipeline/")}
    assert sources == {"pipeline/__init__.py", *(f"pipeline/{name}" for name in done.stdout.split())}


def test_no_native_operation_of_deepspeed_is_needed():
    """Else DS_BUILD_OPS=0 were wrong: no optimiser of its own, nothing offloaded."""
    sources = "\n".join(path.read_text() for path in (ROOT / "pipeline" / "training").glob("*.py"))
    assert not re.search(r"FusedAdam|CPUAdam|FusedLamb|offload_(param|optimizer)|op_builder", sources)
    assert '__compatible_ops__["deepspeed_shm_comm"] = False' in sources and "DS_BUILD_OPS=0" in TEXT
