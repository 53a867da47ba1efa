"""YAML files + groups + `key=value` -> the root dataclass of one job.

Later sources win: the job's base file, then the chosen groups (task, model, recipe, cluster), then the experiment's own
values, then the command line. Base file and experiment choose groups under `defaults:`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.config.build import build, build_known, describe, to_dict
from pipeline.config.changes import changed, difference
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.job import addresses, groups_of, has_experiments, job_name, literal, own_section, positional
from pipeline.config.layers import (
    CONF_DIR,
    members,
    merged,
    read_layer,
    read_member,
    split_overrides,
    take_defaults,
)
from pipeline.config.login import take_login
from pipeline.config.sections.recipe import RecipeConfig

Job = TypeVar("Job")


def load_config(
    job: type[Job], overrides: list[str], conf_dir: Path = CONF_DIR, mistakes: Mistakes | None = None
) -> Job:
    """The resolved configuration of one job.

    Args:
        job: its root dataclass; `conf_dir/<name of the job>.yaml` is its base file.
        overrides: `key=value` words; `<group>=` and `experiment=` choose files.
        conf_dir: folder with the YAML files.
        mistakes: what is known to be wrong already; told together with what is found here.

    Raises:
        UserError: every unknown key, group member and type, unreadable YAML, settings that do not go together.
    """
    mistakes = mistakes or Mistakes()
    config = known_config(job, overrides, mistakes, conf_dir)
    mistakes.tell()
    return config


def known_config(job: type[Job], overrides: list[str], mistakes: Mistakes, conf_dir: Path = CONF_DIR) -> Job:
    """The same as far as it is known: what is wrong is in `mistakes`, and defaults stand in its place."""
    as_they_stand = {key: value for key, _, value in (word.partition("=") for word in overrides) if key in literal(job)}
    words = [word for word in overrides if word.partition("=")[0] not in as_they_stand]
    chosen, values = split_overrides(job, words, mistakes)
    base = read_layer(job, conf_dir / f"{job_name(job)}.yaml", "", mistakes)
    name = chosen.pop("experiment", None)
    experiment = read_member(job, conf_dir, "experiment", name, mistakes) if name else {}
    groups = {**take_defaults(job, base, mistakes), **take_defaults(job, experiment, mistakes), **chosen}
    layers = [base]
    for group in groups_of(job):
        if group in groups:
            layers.append({group: read_member(job, conf_dir, group, groups[group], mistakes)})
            layers.append({group: {"name": groups[group]}})
    layers += [experiment, *([{"experiment": name}] if has_experiments(job) else []), *values]
    plain = merged([to_dict(job()), *layers], mistakes, addresses(job))
    if isinstance(plain.get("recipe"), dict) and isinstance(plain.get("sweep"), dict):
        _name_variants(job, plain, conf_dir, [experiment, *values], mistakes)
    for key, value in as_they_stand.items():
        section, setting = key.split(".")
        if isinstance(plain[section], dict):  # else it is refused as a whole
            plain[section][setting] = value
    return build_known(job, plain, "", mistakes)


def _name_variants(
    job: type[Any], plain: dict[str, Any], conf_dir: Path, later: list[dict[str, Any]], mistakes: Mistakes
) -> None:
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
        values = read_member(job, conf_dir, "recipe", name, mistakes, "sweep.recipes")
        if known.errors or mistakes.concern("recipe") or mistakes.concern("sweep.recipes"):
            continue  # what they change cannot be said
        with mistakes.noted("sweep.recipes"):
            own_changes = (_as_resolved(layer.get("recipe"), plain["recipe"]) for layer in later)
            try:
                changes = OmegaConf.merge(values, *own_changes)
                whole = cast(dict[str, Any], OmegaConf.to_container(changes, resolve=True))
            except OmegaConfBaseException as failure:  # a file of a recipe knows nothing but itself
                reason = str(failure).splitlines()[0]
                raise UserError(f"recipe {name}: {reason}", "values that resolve", "mend the ${...} in it") from None
            recipe = to_dict(changed(RecipeConfig(), whole, f"recipe {name}"))
            recipes[name] = difference(own, {**recipe, "name": own["name"]})
    if twice := sorted(name for name in recipes if name in given and given[name] != recipes[name]):
        error = UserError(
            f"sweep.variants.{twice[0]} and sweep.recipes={twice[0]}", "one of them", "rename the variant"
        )
        mistakes.add(error, "sweep.variants")
    plain["sweep"]["variants"] = recipes | given


def _as_resolved(given: Any, resolved: dict[str, Any]) -> dict[str, Any]:
    """What a layer sets, as it is in the whole configuration, which interpolations may refer to."""
    found = {}
    for name, value in (given or {}).items():
        inner = resolved.get(name)
        found[name] = _as_resolved(value, inner) if isinstance(value, dict) and isinstance(inner, dict) else inner
    return found


def to_public_dict(config: Any) -> dict[str, Any]:
    """The resolved configuration of a job as plain data, without logins, however it was made."""
    public = to_dict(config)
    for section, name in (key.split(".") for key in addresses(type(config))):
        public[section][name] = take_login(public[section][name])
    return public


def to_yaml(config: Any) -> str:
    """The resolved configuration of a job as YAML, without logins."""
    public = to_public_dict(config)
    for section, name in (key.split(".") for key in literal(type(config))):
        if isinstance(value := public[section][name], str):
            public[section][name] = value.replace("${", r"\${").encode(errors="backslashreplace").decode()
    return str(OmegaConf.to_yaml(OmegaConf.create(public)))


def help_text(job: type[Any], summary: str, *, options: Sequence[str] = ()) -> str:
    """What `--help` prints: usage, groups, and every key of the job with default and meaning.

    Args:
        job: its root dataclass.
        summary: what it does.
        options: those that it knows beside the common ones.
    """
    own = f"{own_section(job)}."
    rows = [(name.removeprefix(own), default, meaning) for name, default, meaning in describe(job)]
    width = max(len(name) for name, _, _ in rows)
    places = "".join(f"[{key.removeprefix(own)}] " for key in positional(job))
    files = (*groups_of(job), *(("experiment",) if has_experiments(job) else ()))
    groups = [f"{group + '=':12} {', '.join(members(group))}" for group in files]
    shown = " ".join(f"[{option}]" for option in ("--print-config", *options, "--help", "--version"))
    lines = [
        summary.strip(),
        "",
        f"usage: python jobs/{job_name(job)}.py {places}[key=value ...] {shown}",
        "",
        *([*groups, ""] if groups else []),
        "Every key, its schema default (conf/ may set another; see --print-config) and its meaning:",
        *(f"  {name:{width}}  {default:12}  {meaning}" for name, default, meaning in rows),
    ]
    return "\n".join(lines)
