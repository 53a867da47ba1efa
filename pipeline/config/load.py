"""YAML files + groups + `key=value` -> one `JobConfig`.

Later sources win: the job's base file, then the chosen groups (task, model, recipe, cluster), then the experiment's own
values, then the command line. Base file and experiment choose groups under `defaults:`.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from pipeline.config.build import build, changed, describe, to_dict
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.layers import (
    CONF_DIR,
    GROUPS,
    members,
    merged,
    read_layer,
    read_member,
    split_overrides,
    take_defaults,
)
from pipeline.config.recipe import RecipeConfig
from pipeline.config.schema import JobConfig

# Names and texts that the command line gives as they stand: neither YAML nor interpolation.
LITERAL = {
    *("comparison.first", "comparison.second"),
    *("export.model", "export.output"),
    *("generate.model", "generate.text", "generate.second", "generate.output"),
}

OWN_NEEDS = ("storage.", "tracking.uri", "tracking.experiment")  # what a job with a section of its own needs beside it


def load_config(
    job: str, overrides: list[str], conf_dir: Path = CONF_DIR, mistakes: Mistakes | None = None
) -> JobConfig:
    """The resolved configuration of one job.

    Args:
        job: name of the job; `conf_dir/<job>.yaml` is its base file.
        overrides: `key=value` words; `task=`, `model=`, `recipe=`, `cluster=`, `experiment=` choose files.
        conf_dir: folder with the YAML files.
        mistakes: what is known to be wrong already; told together with what is found here.

    Raises:
        UserError: every unknown key, group member and type, unreadable YAML, settings that do not go together.
    """
    mistakes = mistakes or Mistakes()
    literal = {key: value for key, _, value in (word.partition("=") for word in overrides) if key in LITERAL}
    words = [word for word in overrides if word.partition("=")[0] not in literal]
    chosen, values = split_overrides(words, mistakes)
    base = read_layer(conf_dir / f"{job}.yaml", "", mistakes)
    experiment_name = chosen.pop("experiment", None)
    experiment = read_member(conf_dir, "experiment", experiment_name, mistakes) if experiment_name else {}
    groups = {**take_defaults(base, mistakes), **take_defaults(experiment, mistakes), **chosen}
    layers = [base]
    for group in GROUPS:
        if group in groups:
            layers.append({group: read_member(conf_dir, group, groups[group], mistakes)})
            layers.append({group: {"name": groups[group]}})
    layers += [experiment, {"experiment": experiment_name}, *values]
    plain = merged([to_dict(JobConfig()), *layers], mistakes)
    _name_variants(plain, conf_dir, [experiment, *values], mistakes)
    for key, value in literal.items():
        section, name = key.split(".")
        plain[section][name] = value
    return build(JobConfig, plain, mistakes=mistakes)


def _name_variants(plain: dict[str, Any], conf_dir: Path, later: list[dict[str, Any]], mistakes: Mistakes) -> None:
    """Say in `sweep.variants` what the recipes of `sweep.recipes` change in the job's own.

    What experiment and command line say of the recipe (`later`) holds for each of them.
    """
    names, given = plain["sweep"].get("recipes"), plain["sweep"].get("variants")
    if not isinstance(names, list) or not isinstance(given, dict):
        return  # the schema says what is wrong
    known = Mistakes()
    own: dict[str, Any] = {}
    with known.noted():
        own = to_dict(build(RecipeConfig, plain["recipe"], "recipe"))
    recipes = {}
    for name in map(str, names):
        values = read_member(conf_dir, "recipe", name, mistakes, "sweep.recipes")
        if known.errors or mistakes.concern("recipe") or mistakes.concern("sweep.recipes"):
            continue  # what they change cannot be said
        with mistakes.noted("sweep.recipes"):
            changes = OmegaConf.merge(values, *(layer.get("recipe") or {} for layer in later))
            whole = cast(dict[str, Any], OmegaConf.to_container(changes, resolve=True))
            recipe = to_dict(changed(RecipeConfig(), whole, f"recipe {name}"))
            recipes[name] = _difference(own, {**recipe, "name": own["name"]})
    if twice := sorted(name for name in recipes if name in given and given[name] != recipes[name]):
        error = UserError(
            f"sweep.variants.{twice[0]} and sweep.recipes={twice[0]}", "one of them", "rename the variant"
        )
        mistakes.add(error, "sweep.variants")
    plain["sweep"]["variants"] = recipes | given


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What must change in nested settings, section by section, to make them others of the same schema.

    Raises:
        UserError: a name would have to go, which changes cannot say.
    """
    if gone := sorted(set(old) - set(new)):
        raise UserError(
            f"sweep.recipes beside a recipe that sets '{gone[0]}'", "recipes that can replace it", "set it in a variant"
        )
    return {
        name: _difference(old[name], value) if isinstance(value, dict) and name in old else value
        for name, value in new.items()
        if name not in old or old[name] != value
    }


def to_public_dict(config: JobConfig) -> dict[str, Any]:
    """The resolved configuration as plain data, without the login that a tracking URI may hold."""
    public = to_dict(config)
    public["tracking"]["uri"] = without_login(public["tracking"]["uri"])
    return public


def without_login(uri: str) -> str:
    """A URI that may be shown: user and password masked."""
    return re.sub(r"//[^/@]*@", "//***@", uri)


def to_yaml(config: JobConfig) -> str:
    """The resolved configuration as YAML, without secrets."""
    public = to_public_dict(config)
    for section, name in (key.split(".") for key in LITERAL):
        if isinstance(value := public[section][name], str):
            public[section][name] = value.replace("${", r"\${")
    return str(OmegaConf.to_yaml(OmegaConf.create(public)))


def config_hash(*parts: Any, length: int = 10) -> str:
    """A stable name for plain data: the first hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def help_text(job: str, summary: str, positional: tuple[str, ...] = (), own: bool = False) -> str:
    """What `--help` prints: usage, groups, and every key with default and meaning.

    Args:
        job: its name.
        summary: what it does.
        positional: keys whose values may stand without them.
        own: whether the job has a section of its own, of its name, and nothing to do with training.
    """
    rows = [row for row in describe(JobConfig) if not own or row[0].startswith((f"{job}.", *OWN_NEEDS))]
    rows = [(name.removeprefix(f"{job}.") if own else name, default, meaning) for name, default, meaning in rows]
    width = max(len(name) for name, _, _ in rows)
    places = "".join(f"[{key.removeprefix(f'{job}.') if own else key}] " for key in positional)
    groups = [f"{group + '=':12} {', '.join(members(group))}" for group in (*GROUPS, "experiment")]
    lines = [
        summary.strip(),
        "",
        f"usage: python jobs/{job}.py {places}[key=value ...] [--print-config]{'' if own else ' [--dry-run]'} [--help]",
        "",
        *([] if own else [*groups, ""]),
        "Every key, its schema default (conf/ may set another; see --print-config) and its meaning:",
        *(f"  {name:{width}}  {default:12}  {meaning}" for name, default, meaning in rows),
    ]
    return "\n".join(lines)
