"""YAML read with the schema in hand: where text is wanted, 2, 010, 1e3 and 12:30 are what is written there.

YAML alone would read them as 2, 8, 1000.0 and 750. What it reads as true, false or nothing may be meant so, and is
refused where text is wanted; so are, where numbers are wanted, numbers that YAML reads as others than a person does.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from typing import Any

import yaml

from pipeline.config.errors import Mistakes, UserError

READ_AS = {"tag:yaml.org,2002:bool": "true or false", "tag:yaml.org,2002:null": "nothing"}
ODD_NUMBER = re.compile(r"[-+]?0[\d_]+$|.*:")  # octal, or minutes and seconds


def as_written(text: str, schema: type[Any], key: str, mistakes: Mistakes, word: str | None = None) -> str:
    """YAML that any loader reads as the schema wants it: texts in quotes.

    Args:
        text: YAML.
        schema: the dataclass of the whole configuration.
        key: dotted name of what the text holds.
        mistakes: what is refused inside a section is added here and left out.
        word: the key where the text is the value of a word on the command line.

    Raises:
        YAMLError: unreadable YAML.
        UserError: something that YAML reads otherwise than a person does.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return text
    _mark(node, _hint_at(schema, key), key, mistakes, word)
    return str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True))


def _hint_at(hint: Any, key: str) -> Any:
    for name in key.split(".") if key else ():
        hint = _inside(hint, name)
    return hint


def _inside(hint: Any, name: str) -> Any:
    """The type of an entry of a section or of a dictionary."""
    if dataclasses.is_dataclass(hint):
        return typing.get_type_hints(hint).get(name, Any)
    return typing.get_args(hint)[1] if typing.get_origin(hint) is dict else Any


def _kinds(hint: Any) -> list[Any]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return list(typing.get_args(hint)) if union else [hint]


def _mark(node: yaml.Node, hint: Any, key: str, mistakes: Mistakes, word: str | None) -> None:
    kinds = _kinds(hint)
    if isinstance(node, yaml.MappingNode):
        if str in kinds and word is not None:
            raise _misread(key, str(node.start_mark.buffer or "").rstrip("\0"), "a section", word)
        kept = []
        for name, value in node.value:
            is_merged = name.tag.endswith(":merge")  # <<: what an anchor holds
            inner = f"{key}.{name.value}" if key else str(name.value)
            with mistakes.noted(inner):
                _mark(value, hint if is_merged else _inside(hint, name.value), inner, mistakes, None)
                kept.append((name, value))
        node.value = kept
    elif isinstance(node, yaml.SequenceNode):
        lists = [kind for kind in kinds if typing.get_origin(kind) is list]
        item_hint = typing.get_args(lists[0])[0] if lists else hint  # a list of merged anchors
        for number, item in enumerate(node.value):
            try:
                _mark(item, item_hint, f"{key}[{number}]", mistakes, None)
            except UserError as error:
                texts = [str(each.value) for each in node.value if isinstance(each, yaml.ScalarNode)]
                raise UserError(error.given, error.allowed, _quoted(key, texts, word)) from None
    elif isinstance(node, yaml.ScalarNode) and node.style is None:
        _mark_scalar(node, kinds, key, word)


def _mark_scalar(node: yaml.ScalarNode, kinds: list[Any], key: str, word: str | None) -> None:
    kind = node.tag.rpartition(":")[2]
    if str in kinds and not set(kinds) & {int, float, bool}:
        if node.tag not in READ_AS:
            node.tag, node.style = "tag:yaml.org,2002:str", '"'
        elif kind == "bool" or type(None) not in kinds:
            raise _misread(key, node.value, READ_AS[node.tag], word)
    elif set(kinds) & {int, float} and kind in ("int", "float") and ODD_NUMBER.match(node.value):
        meant = yaml.safe_load(node.value)
        raise UserError(
            f"{key}={node.value}, which YAML reads as {meant}", "a decimal number", f"write {meant}, if that is meant"
        )


def _misread(key: str, written: str, read_as: str, word: str | None) -> UserError:
    return UserError(f"{key}={written}, which YAML reads as {read_as}", "text", _quoted(key, written, word))


def _quoted(key: str, texts: str | list[str], word: str | None) -> str:
    """How a text, or a list of them, is written so that YAML takes it as it stands."""
    quoted = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return f"write {word}='{quoted}'" if word is not None else f"write {quoted} for {key}"
