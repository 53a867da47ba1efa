"""What a job accepts it reads: tiny runs of every job with configurations that record who asks for what."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipeline.config.build import describe

ROOT = Path(__file__).parents[2]
PRODUCT = [path for path in sorted((ROOT / "pipeline").rglob("*.py")) if "config" not in path.parts]
# Copying, naming and checking a setting is no use of it.
NO_USE = ("dataclasses", "copy", "pipeline.config.build", "pipeline.config.keys", "pipeline.config.load")
NO_USE += ("pipeline.config.option", "pipeline.config.layers", "importlib")


class Reads:
    """The settings of one job's configurations that anything asks for while it runs in this process."""

    def __init__(self, job: type[Any], patch: pytest.MonkeyPatch) -> None:
        self.keys: set[str] = set()
        self._paths: dict[int, str] = {}
        self._alive: list[Any] = []  # else another object could get the number of one that is gone
        self._places: dict[type[Any], list[str]] = {}
        for cls, key in sections_of(job):
            self._places.setdefault(cls, []).append(key)
        for cls in self._places:
            patch.setattr(cls, "__getattribute__", self._getter(cls, is_root=cls is job))

    def _getter(self, cls: type[Any], is_root: bool) -> Any:
        names = {setting.name for setting in dataclasses.fields(cls)}

        def get(section: Any, name: str) -> Any:
            value = object.__getattribute__(section, name)
            if name in names:
                keys = [""] if is_root else self._keys(section, cls)
                if dataclasses.is_dataclass(value) and len(keys) == 1:
                    self._paths[id(value)] = joined(keys[0], name)
                    self._alive.append(value)
                elif is_use(sys._getframe(1)):
                    self.keys |= {joined(key, name) for key in keys}
            return value

        return get

    def _keys(self, section: Any, cls: type[Any]) -> list[str]:
        """Where it stands; of a section that was taken from no configuration, wherever its kind has one place."""
        places = self._places[cls]
        if id(section) in self._paths:
            return [self._paths[id(section)]]
        return places if len(places) == 1 else []


def is_use(frame: FrameType) -> bool:
    """Whether it is a stage that asks, directly or through a property of the section."""
    while frame.f_code.co_name.startswith("<") and frame.f_back is not None:  # a comprehension asks for its function
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", ""))
    checks = module.startswith("pipeline.config.") and frame.f_code.co_name.startswith("_")
    return not module.startswith(NO_USE) and not checks


def sections_of(schema: type[Any], key: str = "") -> Iterator[tuple[type[Any], str]]:
    """The dataclasses that a configuration is made of, with their places; lists' items, too."""
    import typing

    yield schema, key
    hints = typing.get_type_hints(schema)
    for setting in dataclasses.fields(schema):
        hint = hints[setting.name]
        inner = next(iter(typing.get_args(hint)), None)
        if dataclasses.is_dataclass(hint):
            yield from sections_of(typing.cast(type[Any], hint), joined(key, setting.name))
        elif dataclasses.is_dataclass(inner):
            yield from sections_of(typing.cast(type[Any], inner), f"{joined(key, setting.name)}[i]")


def joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


FULL_STUDENT = "{scheme: 2-2-8, depth: 2-1, heads: 0.5, label: all, encoder_map: [0, 1], decoder_map: [0]}"
RECIPES = {  # between them they use every part of a recipe
    "plain": [
        *("recipe.distillation={attention_kind: kl, hidden_kind: normalised, relation_heads: 2, temperature: 2.0}",),
        *("recipe.distillation.encoder_relations=1", "recipe.distillation.decoder_relations=1"),
        *("recipe.distillation.contrastive=1", "recipe.quantization.bits=['model.encoder.layers.0.*=8']"),
        "recipe.schedule=['0.5=8-8-8']",
    ],
    "pruned": ["recipe.pruning.method=gates", f"sweep.students=[{FULL_STUDENT}]", "sweep.stopping.rule=none"],
    "importance": [f"sweep.students=[{FULL_STUDENT}]", "sweep.stopping.rule=none"],
    "targets": ["recipe.sequence.kind=beams", "task.decoding.num_beams=2"],
    "published": ["recipe=dqbart", "sweep.stopping.rule=none"],
}


@pytest.fixture
def reads(monkeypatch):
    """`reads(job)` records from now on what is asked of that job's configurations."""
    return lambda job: Reads(job, monkeypatch)


def test_debug(reads, job, tmp_path, monkeypatch):
    """"""
    from pipeline.config.jobs.dq_sweep import SweepJob
    from pipeline.stages.sweep import job as sweep_job

    seen = reads(SweepJob)
    students = ("sweep.schemes=[8-8-8]", "sweep.depths=[2-1,1-1]", "sweep.seeds=2")
    for name, words in RECIPES.items():
        code, out, err = job(
            "dq_sweep",
            sweep_job.run,
            *(students if "students" not in " ".join(words) else ()),
            "sweep.stopping.rule=halving",
            *words,
            f"storage.path={tmp_path}",
            "evaluation.score_exported=true",
        )
        print(name, code, err[-1500:] if code else "")
    keys = {key for key, _, _ in describe(SweepJob)}
    print("UNREAD", sorted(keys - seen.keys))
    assert 0
