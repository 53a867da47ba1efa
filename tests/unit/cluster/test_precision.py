"""bf16 is used where processors compute in it, and nowhere else unless a person says so."""

import logging
from pathlib import Path

import pytest
import ray

from pipeline.cluster import precision
from pipeline.cluster.precision import has_bf16, with_precision
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig

ZEN_4 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni\n"
ZEN_3 = "processor\t: 0\nflags\t\t: fpu avx2 fma\n"
GRAVITON_3 = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16\n"


@pytest.mark.parametrize(
    ("written", "has"),
    [
        (ZEN_4, True),
        (ZEN_3, False),
        (GRAVITON_3, True),
        (ZEN_4 + ZEN_3, False),
        ("flags: amx_bf16", True),
        ("flags: xbf16", False),
        ("vendor: none", False),
    ],
)
def test_a_machine_has_bf16_if_all_its_processors_say_so(tmp_path: Path, written: str, has: bool) -> None:
    """One flag of several names, on every processor that is listed."""
    (tmp_path / "cpuinfo").write_text(written)
    assert has_bf16(tmp_path / "cpuinfo") is has


def test_where_no_file_says_it_torch_is_asked(tmp_path: Path) -> None:
    """Other systems than Linux have no such file."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    expected = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    assert has_bf16(tmp_path / "none") is expected


@pytest.mark.parametrize(("has", "decided"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_this_machine_computes_in(monkeypatch: pytest.MonkeyPatch, has: bool, decided: str) -> None:
    """Nothing else of the cluster changes."""
    monkeypatch.setattr(precision, "has_bf16", lambda: has)
    given = ClusterConfig(launcher="process", num_workers=1)
    assert with_precision(given) == ClusterConfig(launcher="process", num_workers=1, precision=decided)


@pytest.mark.parametrize("given", ["bf16", "fp32"])
@pytest.mark.parametrize("has", [True, False])
def test_what_a_person_sets_stands_and_imitated_bf16_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: str, has: bool
) -> None:
    """A warning where it will be slow, silence where it will not."""
    monkeypatch.setattr(precision, "has_bf16", lambda: has)
    cluster = ClusterConfig(launcher="process", num_workers=1, precision=given)
    with caplog.at_level(logging.WARNING, logger="pipeline"):
        assert with_precision(cluster) == cluster
    assert ("cluster.precision=fp32" in caplog.text) == (given == "bf16" and not has)


def test_nodes_that_do_not_answer_are_named_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A precision that is given needs no answer."""

    def silent(*_: object) -> list[bool]:
        raise ray.exceptions.GetTimeoutError("late")

    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr(precision, "answers_of", silent)
    precision._nodes_without_bf16.cache_clear()
    with pytest.raises(UserError, match=r"late.*set cluster.precision=fp32"):
        with_precision(ClusterConfig())
    assert with_precision(ClusterConfig(precision="fp32")).precision == "fp32"


@pytest.mark.parametrize(("answers", "decided"), [([True, True], "bf16"), ([True, False], "fp32")])
def test_the_slowest_node_that_can_hold_a_worker_decides(
    monkeypatch: pytest.MonkeyPatch, answers: list[bool], decided: str
) -> None:
    """Those that are gone, or too small, do not count."""
    names = {"a": (2, True), "b": (4, True), "c": (1, True), "d": (8, False)}
    nodes = [
        {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus}, "NodeManagerAddress": name}
        for name, (cpus, alive) in names.items()
    ]
    asked: list[str] = []

    def answers_of(ids: list[str], *_: object) -> list[bool]:
        asked.extend(ids)
        return answers

    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(precision, "answers_of", answers_of)
    precision._nodes_without_bf16.cache_clear()
    assert with_precision(ClusterConfig(cpus_per_worker=2)).precision == decided
    assert asked == ["a", "b"]
    precision._nodes_without_bf16.cache_clear()


def test_gpus_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the processors beside them can does not matter."""
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    assert with_precision(ClusterConfig(launcher="process", gpus_per_worker=1)).precision == "bf16"
