"""`infra/check/compose.py`: the file for one machine asks of containers what the cluster asks."""

import pytest
import yaml
from small_infra import COMPOSE, DIGEST, write_infra

from infra.check.compose import compose


@pytest.fixture
def found(tmp_path):
    """`found(key, value)`: (check, path) of findings where a key of the service has another value; `...` removes it."""
    root = write_infra(tmp_path)

    def check(key=None, value=None, **top):
        document = yaml.safe_load(COMPOSE) | top
        service = document["services"]["web"]
        if value is ...:
            del service[key]
        elif key:
            service[key] = value
        (root / "infra/compose.yaml").write_text(yaml.safe_dump(document))
        check.commands = set()
        findings = compose(root / "infra/compose.yaml", "infra/compose.yaml", root, check.commands)
        return [(one.check, one.path) for one in findings]

    return check


def test_a_good_file_has_no_findings_and_its_commands_are_noted(found):
    """As those of manifests."""
    assert found() == [] and found.commands == {"python jobs/retrain.py experiment=nights"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("image", "x/y:1", ("compose/image", "image")),
        ("image", ..., ("compose/image", "image")),
        ("image", "x/y:${TAG:-1}", ("compose/image", "image")),
        ("image", "x/y:${TAG:?}", ("compose/image", "image")),
        ("privileged", True, ("compose/hardening", "privileged")),
        ("network_mode", "host", ("compose/hardening", "network_mode")),
        ("cap_drop", ["NET_RAW"], ("compose/hardening", "cap_drop")),
        ("security_opt", ..., ("compose/hardening", "security_opt")),
        ("read_only", False, ("compose/hardening", "read_only")),
        ("mem_limit", ..., ("compose/hardening", "mem_limit")),
        ("restart", "always", ("compose/hardening", "healthcheck")),
        ("ports", ["5000:5000"], ("compose/hardening", "ports[0]")),
        ("ports", ["0.0.0.0:5000:5000"], ("compose/hardening", "ports[0]")),
        ("ports", [{"target": 5000, "published": 5000}], ("compose/hardening", "ports[0]")),
        ("depends_on", ["db"], ("compose/name", "depends_on")),
        ("depends_on", {"db": {"condition": "service_healthy"}}, ("compose/name", "depends_on")),
        ("volumes", ["other:/data"], ("compose/name", "volumes")),
        ("networks", ["back"], ("compose/name", "networks")),
        ("environment", {"PASSWORD": "kan4ri"}, ("law/literal-secret", "environment.PASSWORD")),
        ("environment", ["PASSWORD=kan4ri"], ("law/literal-secret", "environment.PASSWORD")),
        ("environment", {"PASSWORD": "${PASSWORD:-kan4ri}"}, ("law/literal-secret", "environment.PASSWORD")),
        ("environment", {"URI": "postgresql://u:kan4ri@db/x"}, ("law/literal-secret", "environment.URI")),
        ("command", "python jobs/nosuch.py", ("law/command", "command")),
    ],
)
def test_one_change_for_the_worse_is_found(found, key, value, expected):
    """And nothing else."""
    assert found(key, value) == [expected]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image", "x/y:1@${DIGEST:?look it up, sha256:...}"),
        ("image", f"x/y:1@${{DIGEST:-{DIGEST}}}"),
        ("volumes", ["./data:/data", "/x:/x", "${DATA:?}:/y"]),
        ("ports", [{"target": 5000, "published": 5000, "host_ip": "127.0.0.1"}]),
        ("depends_on", {"web": {"condition": "service_started"}}),
        ("environment", ["PASSWORD=${PASSWORD:?set it}", "PASSWORD_FILE=/run/x"]),
    ],
)
def test_other_ways_to_write_it_are_fine(found, key, value):
    """Compose has a short and a long form of most things."""
    assert found(key, value) == []


def test_a_key_that_compose_does_not_know_is_said(found):
    """An extension is none of these."""
    assert found(**{"x-common": {}}) == []
    assert found(service={}) == [("compose/file", "service")]


@pytest.mark.parametrize("text", ["services: {}", "", "- a", "services:\n  a: {}\nservices: {}"])
def test_a_file_without_services_is_said(tmp_path, text):
    """It would start nothing."""
    (tmp_path / "compose.yaml").write_text(text)
    (one,) = compose(tmp_path / "compose.yaml", "compose.yaml", tmp_path, set())
    assert one.check == "compose/file"
