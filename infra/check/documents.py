"""YAML and JSON as Kubernetes reads them: a key that is given twice is an error."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

# libyaml reads the 4 MB of KubeRay's definitions in a second, Python in half a minute.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DocumentError(Exception):
    """A file that is no YAML or JSON; the text says where."""


class _Loader(_Base):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


# A lone `=` is a text, not the value type that YAML 1.1 had.
_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def yaml_documents(text: str) -> list[Any]:
    """All documents of a text but the empty ones.

    Raises:
        DocumentError: it is no YAML, or gives a key twice.
    """
    try:
        return [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]
    except yaml.YAMLError as error:
        raise DocumentError(" ".join(str(error).split())) from None


def yaml_document(path: Path) -> Any:
    """The only document of a file; nothing: None.

    Raises:
        DocumentError: there are several, or none can be read.
    """
    documents = yaml_documents(_text(path))
    if len(documents) > 1:
        raise DocumentError(f"{len(documents)} documents in one file, where one is expected")
    return documents[0] if documents else None


def json_document(path: Path) -> Any:
    """The document of a JSON file.

    Raises:
        DocumentError: it is no JSON, or gives a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DocumentError(f"'{twice[0]}' is given twice")
        return dict(pairs)

    try:
        return json.loads(_text(path), object_pairs_hook=once)
    except ValueError as error:
        raise DocumentError(str(error)) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"cannot be read: {error}") from None
