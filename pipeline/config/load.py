"""YAML files + groups + `key=value` -> one `JobConfig`. The door to omegaconf.

Later sources win: the job's base file, then the chosen groups (task, model, recipe, cluster), then the experiment's own
values, then the command line. Base file and experiment choose groups under `defaults:`.
"""

from __future__ import annotations

import hashlib
import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.config.build import build, changed, describe, nearest, to_dict
from pipeline.config.errors import UserError
from pipeline.config.recipe import RecipeConfig
from pipeline.config.schema import JobConfig

CONF_DIR = Path(__file__).parents[2] / "conf"
GROUPS = ("task", "model", "recipe", "cluster")
# Names and texts that the command line gives as they stand: neither YAML nor interpolation.
LITERAL = {
    *("comparison.first", "comparison.second"),
    *("export.model", "export.output"),
    *("generate.model", "generate.text", "generate.second", "generate.output"),
}

OWN_NEEDS = ("storage.", "tracking.uri", "tracking.experiment")  # what a job with a section of its own needs beside it


def load_config(job: str, overrides: list[str], conf_dir: Path = CONF_DIR) -> JobConfig:
    """The resolved configuration of one job.

    Args:
        job: name of the job; `conf_dir/<job>.yaml` is its base file.
        overrides: `key=value` words; `task=`, `model=`, `recipe=`, `cluster=`, `experiment=` choose files.
        conf_dir: folder with the YAML files.

    Raises:
        UserError: unknown key, group member or type; unreadable YAML.
    """
    literal = {key: value for key, _, value in (word.partition("=") for word in overrides) if key in LITERAL}
    chosen, values = _split_overrides([word for word in overrides if word.partition("=")[0] not in literal], conf_dir)
    base = _read(conf_dir / f"{job}.yaml")
    experiment_name = chosen.pop("experiment", None)
    experiment = _read(_member(conf_dir, "experiment", experiment_name)) if experiment_name else OmegaConf.create()
    groups = {**_take_defaults(base), **_take_defaults(experiment), **chosen}
    layers = [base]
    for group in GROUPS:
        if group in groups:
            layers.append(OmegaConf.create({group: _read(_member(conf_dir, group, groups[group]))}))
            layers.append(OmegaConf.create({group: {"name": groups[group]}}))
    layers += [experiment, OmegaConf.create({"experiment": experiment_name}), *values]
    merged = OmegaConf.merge(OmegaConf.create(to_dict(JobConfig())), _known_only(OmegaConf.merge(*layers)))
    try:
        plain = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0], "values that resolve", "mend the ${...} in it") from None
    _name_variants(plain, conf_dir, [experiment, *values])
    for key, value in literal.items():
        section, name = key.split(".")
        cast(dict[str, Any], plain)[section][name] = value
    return build(JobConfig, plain)


def _name_variants(plain: Any, conf_dir: Path, later: list[DictConfig]) -> None:
    """Say in `sweep.variants` what the recipes of `sweep.recipes` change in the job's own.

    What experiment and command line say of the recipe (`later`) holds for each of them.

    Raises:
        UserError: no such recipe, or a variant of its name.
    """
    names = plain["sweep"]["recipes"]
    if not isinstance(names, list) or not isinstance(plain["sweep"]["variants"], dict):
        return  # the schema says what is wrong
    own = to_dict(build(RecipeConfig, plain["recipe"], "recipe"))
    recipes = {}
    for name in map(str, names):
        layers = [_read(_member(conf_dir, "recipe", name)), *(layer.get("recipe") or {} for layer in later)]
        values = OmegaConf.to_container(OmegaConf.merge(*layers), resolve=True)
        recipe = to_dict(changed(RecipeConfig(), cast(dict[str, Any], values), f"recipe {name}"))
        recipes[name] = _difference(own, {**recipe, "name": own["name"]})
    given = plain["sweep"]["variants"]
    if twice := sorted(name for name in recipes if name in given and given[name] != recipes[name]):
        raise UserError(f"sweep.variants.{twice[0]} and sweep.recipes={twice[0]}", "one of them", "rename the variant")
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


def members(group: str, conf_dir: Path = CONF_DIR) -> list[str]:
    """The names a group can be set to."""
    return sorted(path.stem for path in (conf_dir / group).glob("*.yaml"))


def _split_overrides(overrides: list[str], conf_dir: Path) -> tuple[dict[str, str], list[DictConfig]]:
    chosen: dict[str, str] = {}
    values: list[DictConfig] = []
    for word in overrides:
        key, separator, value = word.partition("=")
        if not separator or not key:
            raise UserError(f"argument '{word}'", "words of the form key=value", f"write {key or 'key'}=<value>")
        if key in (*GROUPS, "experiment"):
            _member(conf_dir, key, value)
            chosen[key] = value
            continue
        try:
            values.append(OmegaConf.from_dotlist([word]))
        except (OmegaConfBaseException, YAMLError) as error:
            raise UserError(f"argument '{word}': {str(error).splitlines()[0]}", "YAML values", "quote it") from None
        OmegaConf.to_container(_known_only(values[-1]))
    return chosen, values


def _known_only(layer: Any) -> Any:
    """Check the keys of a layer before merging, so that the nearest valid key can be named."""
    schema_tree = to_dict(JobConfig())

    def check(given: Any, known: Any, key: str) -> None:
        if isinstance(given, (dict, list)) and isinstance(known, (dict, list)) and type(given) is not type(known):
            kinds = {dict: "a section", list: "a list"}
            raise UserError(f"{key}={given} is {kinds[type(given)]}", kinds[type(known)], f"write {key} as a whole")
        if not isinstance(given, dict) or not isinstance(known, dict) or not known:
            return
        for name, value in given.items():
            dotted = f"{key}.{name}" if key else str(name)
            if name not in known:
                best = nearest(str(name), list(known))
                full = _nearest_anywhere(dotted) if not key else f"{key}.{best}"
                raise UserError(f"unknown key '{dotted}'", f"{', '.join(known)}", f"did you mean '{full}'?")
            check(value, known[name], dotted)

    check(OmegaConf.to_container(layer, resolve=False), schema_tree, "")
    return layer


def _nearest_anywhere(name: str) -> str:
    keys = [key for key, _, _ in describe(JobConfig)]
    sections = list(to_dict(JobConfig()))
    leaves = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
    return leaves.get(name) or nearest(name, sections + keys)


def _member(conf_dir: Path, group: str, name: str) -> Path:
    path = conf_dir / group / f"{name}.yaml"
    if not path.is_file() or path.parent != conf_dir / group:
        names = members(group, conf_dir)
        change = f"did you mean {group}={nearest(str(name), names)}?"
        if group == "task" and not get_close_matches(str(name), names):  # most likely somebody's own data
            change = (
                "for data of your own set task=summarization, question_answering, translation or classification, "
                "data.root=<folder>, and where it has no train.jsonl, validation.jsonl and test.jsonl "
                "task.corpus.files.train=<file>, ..."
            )
        raise UserError(f"unknown {group} '{name}'", ", ".join(names), change)
    return path


def _read(path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}", "a readable YAML file", "mend the file") from None
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{path} is a list", "a YAML mapping", "mend the file")
    return loaded


def _take_defaults(layer: DictConfig) -> dict[str, str]:
    defaults = {str(k): str(v) for k, v in (layer.pop("defaults", None) or {}).items()}
    for name in defaults:
        if name not in GROUPS:
            best = nearest(name, list(GROUPS))
            raise UserError(f"unknown group 'defaults.{name}'", ", ".join(GROUPS), f"did you mean 'defaults.{best}'?")
    return defaults
