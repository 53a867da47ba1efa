"""YAML read with the schema in hand: where text is wanted, 2, 010, 1e3 and 12:30 are what is written there.

YAML alone would read them as 2, 8, 1000.0 and 750. What it reads as a boolean or as nothing may be meant so, and is
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
from pipeline.config.yaml_nodes import TEXT, composed

READ_AS = {"tag:yaml.org,2002:bool": "a boolean", "tag:yaml.org,2002:null": "nothing"}
PLAIN_WORD = re.compile(r"[\w./:@%+,=-]+")  # to a shell
LONGEST_NUMBER = 100  # characters: Python itself refuses to write what is much longer
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
    node = composed(text)
    if node is None:
        if text.strip() and word is not None and str in _kinds(_hint_at(schema, key)):  # a comment
            raise _misread(key, text, "nothing", word)
        return text
    if word is None and isinstance(node, yaml.ScalarNode) and not node.tag.endswith(":null"):
        raise yaml.YAMLError("a single value, no sections")
    _Marker(mistakes).mark(node, _hint_at(schema, key), key, word)
    return str(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True))


def _hint_at(hint: Any, key: str) -> Any:
    for name in key.split(".") if key else ():
        hint = _inside(hint, name)
    return hint


def _inside(hint: Any, name: str) -> Any:
    """The type of an entry of a section or of a dictionary."""
    if dataclasses.is_dataclass(hint):
        todays = {setting.metadata.get("formerly"): setting.name for setting in dataclasses.fields(hint)}
        return typing.get_type_hints(hint).get(todays.get(name, name), Any)
    return typing.get_args(hint)[1] if typing.get_origin(hint) is dict else Any


def _kinds(hint: Any) -> list[Any]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return list(typing.get_args(hint)) if union else [hint]


class _Marker:
    """Puts quotes around texts; each node once for each type that it is wanted as, however often it is an alias."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self.done: set[tuple[int, str]] = set()

    def mark(self, node: yaml.Node, hint: Any, key: str, word: str | None = None) -> None:
        if (visit := (id(node), repr(hint))) in self.done:
            return
        self.done.add(visit)
        kinds = _kinds(hint)
        if isinstance(node, yaml.MappingNode):
            _refuse_as_text(node, kinds, key, "a section", word)
            node.value = [(name, value) for name, value in node.value if self._entry(name, value, hint, key)]
        elif isinstance(node, yaml.SequenceNode):
            lists = [kind for kind in kinds if typing.get_origin(kind) is list]
            if not lists:
                _refuse_as_text(node, kinds, key, "a list", word)
            self._items(node, typing.get_args(lists[0])[0] if lists else hint, key, word)  # hint: of merged anchors
        elif isinstance(node, yaml.ScalarNode) and node.style is None:
            _mark_scalar(node, kinds, key, word)

    def _entry(self, name: yaml.Node, value: yaml.Node, hint: Any, key: str) -> bool:
        """Whether an entry of a section can stay."""
        if not isinstance(name, yaml.ScalarNode):
            raise yaml.YAMLError("a list or a section as a name")
        inner = f"{key}.{name.value}" if key else str(name.value)
        is_merged = name.tag.endswith(":merge")  # <<: what an anchor holds
        if not is_merged:
            name.tag, name.style = TEXT, '"'  # 010, no and null are names like any other
        with self.mistakes.noted(inner):
            self.mark(value, hint if is_merged else _inside(hint, str(name.value)), inner)
            return True
        return False

    def _items(self, node: yaml.SequenceNode, hint: Any, key: str, word: str | None) -> None:
        for number, item in enumerate(node.value):
            try:
                self.mark(item, hint, f"{key}[{number}]")
            except UserError as error:
                if str not in _kinds(hint):
                    raise
                texts = [str(each.value) for each in node.value if isinstance(each, yaml.ScalarNode)]
                raise UserError(error.given, error.allowed, _quoted(key, texts, word)) from None


def _mark_scalar(node: yaml.ScalarNode, kinds: list[Any], key: str, word: str | None) -> None:
    kind = node.tag.rpartition(":")[2]
    if str in kinds and not set(kinds) & {int, float, bool}:
        if node.tag not in READ_AS:
            node.tag, node.style = TEXT, '"'
        elif kind == "bool" or type(None) not in kinds:
            raise _misread(key, node.value, READ_AS[node.tag], word)
    elif kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
        raise UserError(f"{key}: a number of {len(node.value):,} characters", f"at most {LONGEST_NUMBER}", f"set {key}")
    elif set(kinds) & {int, float} and kind in ("int", "float") and ODD_NUMBER.match(node.value):
        meant = yaml.safe_load(node.value)
        raise UserError(
            f"{key}={node.value}, which YAML reads as {meant}", "a decimal number", f"write {meant}, if that is meant"
        )


def _refuse_as_text(node: yaml.Node, kinds: list[Any], key: str, read_as: str, word: str | None) -> None:
    """Refuse a section or a list on the command line where text is wanted."""
    if str in kinds and word is not None:
        raise _misread(key, str(node.start_mark.buffer or "").rstrip("\0"), read_as, word)


def as_word(key: str, text: str) -> str:
    """The word of a command line that sets a setting to a text, quoted for YAML and for a shell where need be."""
    try:
        node = composed(text)
    except yaml.YAMLError:
        node = None
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None and node.value == text
    if node is None or not is_plain or node.tag in READ_AS or "${" in text:
        text = json.dumps(text.replace("${", r"\${"), ensure_ascii=False)
    return f"{key}={text if PLAIN_WORD.fullmatch(text) else _for_shell(text)}"


def _for_shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _misread(key: str, written: str, read_as: str, word: str | None) -> UserError:
    return UserError(f"{key}={written}, which YAML reads as {read_as}", "text", _quoted(key, written, word))


def _quoted(key: str, texts: str | list[str], word: str | None) -> str:
    """How a text, or a list of them, is written so that YAML takes it as it stands."""
    quoted = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return f"write {word}={_for_shell(quoted)}" if word is not None else f"write {quoted} for {key}"
