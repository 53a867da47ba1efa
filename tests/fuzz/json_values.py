"""A JSON document with one thing changed: an odd value, another key, a key twice, another document around it."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

# As they stand in a document: types, signs, sizes, what JSON does not have, unicode, nesting.
ODD = (
    "null",
    "true",
    "false",
    "[]",
    "{}",
    '""',
    '" "',
    "0",
    "-1",
    "1",
    "2",
    "3",
    "1.0",
    "-0.0",
    "0.5",
    "1.58",
    "1e-300",
)
ODD += (
    "1e308",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "2147483648",
    "9223372036854775808",
    "1" + 29 * "0",
    "1000000000",
)
ODD += (
    "-" + 20 * "9",
    "9" * 5000,
    '"1"',
    '"NaN"',
    '"null"',
    '"true"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\u202e\\ud83d\\ude00"',
)
ODD += ('"../../etc/passwd"', '"/etc/passwd"', '"model.safetensors"', f'"{"x" * 100_000}"', "[null]", "[[], {}]")
ODD += ("[" * 60 + "]" * 60, "[" * 100_000 + "]" * 100_000, '{"a":' * 2000 + "1" + "}" * 2000, f"[0{',0' * 20_000}]")
ODD += ('{"": null}', '{"0": 1, "1": 2}', '{"__class__": "os.system"}', "[-1, -1]", "[1e30]")
MARK = "\ue000odd\ue000"  # stands for a value or a name that only the text can hold
NAMES = ("", " ", "0", "__class__", "auto_map", "shape", "bits", "format", "name", "ü", "a.b", "sha256", "x" * 300)

Path = tuple[Any, ...]


def changed_json(text: str, rng: Random) -> tuple[str, str] | None:
    """(what was done, the document); none where it is no document, or there is nothing in it."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if rng.random() < 0.06:
        return _around(text, rng)
    if (path := _place(document, rng)) == ():
        return None
    ways = (_odd, _odd, _odd, _nearby, _nearby, _removed, _renamed, _added, _twice, _exchanged)
    return rng.choice(ways)(document, path, rng)


def value_at(document: Any, path: Path) -> Any:
    """What a path leads to."""
    for step in path:
        document = document[step]
    return document


def _place(document: Any, rng: Random) -> Path:
    """A walk from the top: what lies deep is not met more often because there is more of it."""
    path: Path = ()
    while isinstance(document, (dict, list)) and document:
        step = rng.choice(list(document)) if isinstance(document, dict) else rng.randrange(len(document))
        path, document = (*path, step), document[step]
        if rng.random() < 0.15:
            break
    return path


def _odd(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    return _replaced(document, path, rng.choice(ODD))


def _nearby(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    """A value of the same type."""
    before = value_at(document, path)
    after: Any
    if isinstance(before, bool):
        after = not before
    elif isinstance(before, int):
        after = rng.choice([before + 1, before - 1, before * 2, before // 2, before + rng.randrange(100)])
    elif isinstance(before, float):
        after = rng.choice([before * 2, before / 3, -before, before + 1])
    elif isinstance(before, str):
        place = rng.randrange(len(before) + 1)
        after = before[:place] + rng.choice("aZ0-_ ü/") + before[place + rng.randrange(2) :]
    elif isinstance(before, list):
        after = rng.choice([before[1:], before[:-1], before[::-1], before + before[:1], before * 2])
    elif isinstance(before, dict) and before:
        left_out = rng.choice(list(before))
        after = {name: value for name, value in before.items() if name != left_out}
    else:
        after = rng.choice([0, "a", [], {}])
    return _replaced(document, path, json.dumps(after))


def _replaced(document: Any, path: Path, raw: str) -> tuple[str, str]:
    before, changed = value_at(document, path), copy.deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = MARK
    text = json.dumps(changed, indent=1).replace(json.dumps(MARK), raw)
    return f"{_shown(path)}: {json.dumps(before)[:60]} became {raw[:60]}", text


def _removed(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    changed = copy.deepcopy(document)
    del value_at(changed, path[:-1])[path[-1]]
    return f"{_shown(path)} removed", json.dumps(changed, indent=1)


def _renamed(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    """A name spelt another way, in its place; of an item of a list, its place."""
    holder, changed = value_at(document, path[:-1]), copy.deepcopy(document)
    inside = value_at(changed, path[:-1])
    if isinstance(holder, list):
        inside.insert(rng.randrange(len(inside)), inside.pop(path[-1]))
        what = f"{_shown(path)} moved"
    else:
        name = rng.choice([path[-1].upper(), path[-1] + "s", path[-1][1:], rng.choice(NAMES)])
        items = [(name if key == path[-1] else key, value) for key, value in holder.items()]
        inside.clear()
        inside.update(items)
        what = f"{_shown(path)} renamed {name[:40]!r}"
    return what, json.dumps(changed, indent=1)


def _added(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    """Something that was not there, beside what is."""
    changed = copy.deepcopy(document)
    inside, raw = value_at(changed, path[:-1]), rng.choice(ODD)
    if isinstance(inside, list):
        inside.insert(rng.randrange(len(inside) + 1), MARK)
        what = f"{raw[:60]} put into {_shown(path[:-1])}"
    else:
        name = rng.choice([*NAMES, f"{path[-1]}2"])
        inside[name] = MARK
        what = f"{_shown((*path[:-1], name))[:80]} added: {raw[:60]}"
    return what, json.dumps(changed, indent=1).replace(json.dumps(MARK), raw)


def _twice(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    """A name twice in one object, the odd value first or last."""
    holder = value_at(document, path[:-1])
    if isinstance(holder, list):
        return _added(document, path, rng)
    changed, raw, is_last = copy.deepcopy(document), rng.choice(ODD), rng.random() < 0.5
    inside = value_at(changed, path[:-1])
    items = list(inside.items())
    items.insert(len(items) if is_last else 0, (f"{MARK}name", MARK))
    inside.clear()
    inside.update(items)
    text = json.dumps(changed, indent=1).replace(json.dumps(f"{MARK}name"), json.dumps(path[-1]))
    text = text.replace(json.dumps(MARK), raw)
    return f"{_shown(path)} twice, {'last' if is_last else 'first'} as {raw[:60]}", text


def _exchanged(document: Any, path: Path, rng: Random) -> tuple[str, str]:
    """What stands elsewhere in the document."""
    return _replaced(document, path, json.dumps(value_at(document, _place(document, rng))))


def _around(text: str, rng: Random) -> tuple[str, str]:
    """Another document, or another way to write it."""
    ways = {
        "put into a list": f"[{text}]",
        "a byte order mark in front": "\ufeff" + text,
        "said twice": text + text,
        "behind a comment": "// comment\n" + text,
        "with single quotes": text.replace('"', "'"),
        "with a comma behind": text + ",",
        "the empty object": "{}",
        "nothing but null": "null",
        "in a nest": "[" * 100_000 + text + "]" * 100_000,
        "a nest that does not end": '{"a":' * 50_000,
        "written as one text": json.dumps(text),
        "upper case": text.upper(),
        "white space alone": " \n",
    }
    what = rng.choice(list(ways))
    return f"the document {what}", ways[what]


def _shown(path: Path) -> str:
    return ".".join(map(str, path)) or "the document"
