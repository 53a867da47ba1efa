"""The layers that a configuration is made of: YAML files, members of groups, `key=value` words. The door to omegaconf.

Every layer is checked by itself: what is wrong is gathered and left out, so that the rest can be read.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.config.build import describe, nearest, to_dict
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.former_names import with_todays_names
from pipeline.config.job import all_jobs, groups_of, has_experiments, job_name, known_keys
from pipeline.config.variables import take_logins
from pipeline.config.written import as_word, as_written
from pipeline.config.yaml_nodes import MOST_LEVELS

CONF_DIR = Path(__file__).parents[2] / "conf"
log = logging.getLogger(__name__)
OPTIONS = ("--help", "--print-config", "--dry-run", "--version")  # what a command line may hold beside words
_ABSENT = object()


def members(group: str, conf_dir: Path = CONF_DIR) -> list[str]:
    """The names a group can be set to."""
    return sorted(path.stem for path in (conf_dir / group).glob("*.yaml"))


def split_overrides(
    job: type[Any], overrides: list[str], mistakes: Mistakes
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Chosen members of groups, and the values of all other words, each as a layer."""
    files = (*groups_of(job), *(("experiment",) if has_experiments(job) else ()))
    chosen: dict[str, str] = {}
    values: list[dict[str, Any]] = []
    for word in overrides:
        key, separator, value = word.partition("=")
        if word.startswith("-"):
            near = difflib.get_close_matches(word, OPTIONS, n=1)
            change = f"write {near[0]}" if near else f"write {word.lstrip('-')}" if separator else "leave it out"
            mistakes.add(UserError(f"option '{word}'", f"{', '.join(OPTIONS)}, and words key=value", change))
        elif not separator or not key:
            error = UserError(f"argument '{word}'", "words of the form key=value", f"write {key or 'key'}=<value>")
            mistakes.add(error)
        elif key in files:
            chosen[key] = value
        elif key.count(".") + key.count("[") >= MOST_LEVELS:
            mistakes.add(UserError(f"argument '{word}'", f"keys of at most {MOST_LEVELS} names", "check the key"))
        else:
            with mistakes.noted(key):
                try:
                    text = as_written(value, job, key, mistakes, word=key)
                    layer = OmegaConf.from_dotlist([f"{key}={text}"])
                except (OmegaConfBaseException, YAMLError, ValueError, IndexError) as error:  # IndexError: "[" as a key
                    change = f"if it is a text, write {as_word(key, value)}"
                    raise UserError(f"argument '{word}': {_first_line(error)}", "YAML values", change) from None
                given = cast(dict[str, Any], OmegaConf.to_container(layer, resolve=False))
                values.append(_known_only(job, given, mistakes))
    return chosen, values


def _known_only(
    job: type[Any], layer: dict[str, Any], mistakes: Mistakes, left_out: list[str] | None = None
) -> dict[str, Any]:
    """A layer without what the job does not know, checked before merging, so that the nearest key can be named.

    Args:
        job: its root dataclass.
        layer: what is given, as plain data.
        mistakes: where unknown keys go.
        left_out: gets the keys that other jobs know, of a file that several jobs read; none: they are mistakes, too.
    """

    def known_part(given: Any, known: Any, key: str) -> Any:
        if isinstance(given, (dict, list)) and isinstance(known, (dict, list)) and type(given) is not type(known):
            kinds = {dict: "a section", list: "a list"}
            raise UserError(f"{key}={given} is {kinds[type(given)]}", kinds[type(known)], f"write {key} as a whole")
        if not isinstance(given, dict) or not isinstance(known, dict) or not known:
            return given
        part = {}
        for name, value in given.items():
            dotted = f"{key}.{name}" if key else str(name)
            if name in known:
                with mistakes.noted(dotted):
                    part[name] = known_part(value, known[name], dotted)
            elif left_out is not None and dotted in known_keys():
                left_out.append(dotted)
            else:
                full = f"{key}.{nearest(str(name), list(known))}" if key else _nearest_anywhere(job, dotted)
                mistakes.add(_unknown_key(job, dotted, list(known), full), full)
        return part

    given = with_todays_names(layer, job)
    return cast(dict[str, Any], known_part(given, to_dict(job()), ""))


def _unknown_key(job: type[Any], key: str, allowed: list[str], meant: str) -> UserError:
    change = f"did you mean '{meant}'?"
    if others := known_keys().get(key):
        change = f"leave it out: it is a setting of {', '.join(others)}, not of {job_name(job)}"
    return UserError(f"unknown key '{key}'", ", ".join(allowed), change)


def _nearest_anywhere(job: type[Any], name: str) -> str:
    keys = [key for key, _, _ in describe(job)]
    sections = list(to_dict(job()))
    leaves = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
    return leaves.get(name) or nearest(name, sections + keys)


def read_member(
    job: type[Any], conf_dir: Path, group: str, name: str, mistakes: Mistakes, key: str | None = None
) -> dict[str, Any]:
    """What a member of a group sets in its section, of an experiment what it sets; nothing if there is none.

    Several jobs read the same files: what is a setting of others is left out, and the job says so.

    Args:
        job: the root dataclass of the job.
        conf_dir: folder with the YAML files.
        group: the group, or `experiment`.
        name: its member.
        mistakes: where it goes if it is unknown.
        key: the setting that names it; the group if not given.
    """
    section = "" if group == "experiment" else group
    path = conf_dir / group / f"{name}.yaml"
    if str(name) in members(group, conf_dir) and path.is_file():
        left_out: list[str] = []
        layer = read_layer(job, path, section, mistakes, left_out)
        if left_out:
            log.info("%s=%s also sets %s, which %s has no use for", group, name, ", ".join(left_out), job_name(job))
        return layer
    names = members(group, conf_dir)
    change = f"did you mean {group}={nearest(str(name), names)}?"
    if group == "task" and not difflib.get_close_matches(str(name), names):  # most likely somebody's own data
        change = (
            "for data of your own set task=summarization, question_answering, translation or classification, "
            "data.root=<folder>, and where it has no train.jsonl, validation.jsonl and test.jsonl "
            "task.corpus.files.train=<file>, ..."
        )
    error = UserError(f"unknown {group} '{name}'", ", ".join(names), change)
    mistakes.add(error, section if key is None else key)
    return {}


def read_layer(
    job: type[Any], path: Path, section: str, mistakes: Mistakes, left_out: list[str] | None = None
) -> dict[str, Any]:
    """A YAML file with the values of a section, without what the job does not know; texts as they are written.

    Args:
        job: the root dataclass of the job.
        path: the file.
        section: what it fills; empty: it names sections itself.
        mistakes: where goes what is wrong.
        left_out: gets the keys that other jobs know; none: they are mistakes.
    """
    with mistakes.noted(section):
        try:
            text = as_written(path.read_text(encoding="utf-8"), job, section, mistakes)
            loaded = OmegaConf.create(text)
        except (OSError, UnicodeError, YAMLError, OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{path}: {_first_line(error)}", "a readable YAML file", "mend the file") from None
        if not isinstance(loaded, DictConfig):
            raise UserError(f"{path} is a list", "a YAML mapping", "mend the file")
        given = cast(dict[str, Any], OmegaConf.to_container(loaded, resolve=False))
        defaults = {} if section else {"defaults": given.pop("defaults", None)}
        layer = _known_only(job, {section: given} if section else given, mistakes, left_out)
        return layer.get(section, {}) if section else {**layer, **defaults}
    return {}


def take_defaults(job: type[Any], layer: dict[str, Any], mistakes: Mistakes) -> dict[str, str]:
    """Which members of the job's groups a base file or an experiment chooses; taken out of its layer."""
    defaults, known = {}, {group for one in all_jobs() for group in groups_of(one)}
    chosen = layer.pop("defaults", None)
    if chosen is not None and not isinstance(chosen, dict):
        error = UserError(f"defaults: {chosen!r}", "a member for each group", "write defaults: {task: <name>, ...}")
        mistakes.add(error, *groups_of(job))
        return {}
    for name, member in (chosen or {}).items():
        if name in groups_of(job):
            defaults[str(name)] = str(member)
        elif name not in known:
            meant = nearest(str(name), sorted(known))
            error = UserError(
                f"unknown group 'defaults.{name}'", ", ".join(sorted(known)), f"did you mean 'defaults.{meant}'?"
            )
            mistakes.add(error, meant)
    return defaults


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def merged(layers: list[dict[str, Any]], mistakes: Mistakes, addresses: Collection[str] = ()) -> dict[str, Any]:
    """Layers over each other, the last one on top, interpolations resolved; without values that do not resolve.

    Args:
        layers: plain data.
        mistakes: where goes what does not resolve.
        addresses: dotted names of settings whose logins are taken off, before another value can refer to them.
    """
    try:
        merged = OmegaConf.merge(*layers)
    except (OmegaConfBaseException, ValueError, TypeError) as error:  # TypeError: a list over a section
        mistakes.add(UserError(_first_line(error), "YAML that fits the schema", "mend the configuration"), "")
        return layers[0]
    take_logins(merged, addresses, mistakes)
    try:
        return cast(dict[str, Any], OmegaConf.to_container(merged, resolve=True))
    except OmegaConfBaseException:
        plain = cast(dict[str, Any], OmegaConf.to_container(merged, resolve=False))
    broken: dict[str, tuple[str, OmegaConfBaseException]] = {}
    for key, value in list(_leaves(plain, "")):
        try:
            found = OmegaConf.select(merged, key)
            resolved = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
        except OmegaConfBaseException as error:
            broken[key], resolved = (str(value), error), _ABSENT
        _put(plain, key, resolved)
    for key, (value, problem) in broken.items():
        if not any(f"${{{other}}}" in value for other in broken):  # else it is wrong because the other one is
            mistakes.add(_unresolved(f"{key}={value}", problem))
    mistakes.unknown |= set(broken)
    return plain


def _unresolved(given: str, error: OmegaConfBaseException) -> UserError:
    cause = error.__context__  # omegaconf hides the cause
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__context__
    if cause is not None:  # of one of our resolvers
        return UserError(f"{given}: {cause.given}", cause.allowed, cause.change)
    return UserError(f"{given}: {_first_line(error)}", "values that resolve", "mend the ${...} in it")


def _leaves(section: dict[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        dotted = f"{key}.{name}" if key else str(name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, dotted)
        else:
            yield dotted, value


def _put(plain: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        plain = plain[section]
    plain[name] = value
    if value is _ABSENT:
        del plain[name]
