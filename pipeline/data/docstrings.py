"""The embedded corpus: docstrings of the standard library and of installed dependencies, written by people.

Source = name of the object in words + body of its docstring, target = the first paragraph (the one-line summary).
Files are parsed with `ast`; nothing is imported. A file's split is decided by a hash of its module path, so no file
crosses splits and the split of a file is the same on every machine.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import multiprocessing
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "transformers", "ray", "mlflow", "datasets", "numpy", "pandas", "deepspeed", "sqlalchemy"),
    *("huggingface_hub", "pyarrow", "matplotlib", "sklearn", "scipy", "networkx", "sympy", "fsspec", "aiohttp"),
)
TEST_FOLDERS = frozenset({"tests", "test", "testing", "_vendor", "vendored", "site-packages", "idlelib", "lib2to3"})
MIN_SOURCE_WORDS, MIN_TARGET_WORDS, MAX_TARGET_WORDS = 12, 3, 30


def docstring_examples() -> dict[str, list[dict[str, str]]]:
    """All pairs of the corpus by split, de-duplicated on the target's and the source's text.

    Returns:
        `{"train": [...], "validation": [...], "test": [...]}`; each example has `source`, `target` and `id`.
    """
    splits: dict[str, list[dict[str, str]]] = {"train": [], "validation": [], "test": []}
    seen: set[str] = set()
    modules = list(_modules())
    num_processes = min(len(os.sched_getaffinity(0)), 8)
    with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        pairs_of_files = pool.map(_pairs, [path for _, path in modules], chunksize=64)
        documented = list(zip(modules, pairs_of_files, strict=True))
    for (module, _), pairs in documented:
        split = split_of(module)
        for name, source, target in pairs:
            # A summary repeated elsewhere would leak from one split to another.
            keys = {hashlib.sha256(text.lower().encode()).hexdigest() for text in (source, target)}
            if seen.isdisjoint(keys):
                splits[split].append({"source": source, "target": target, "id": f"{module}:{name}"})
            seen |= keys
    return splits


def installed_versions() -> str:
    """A short name for what the corpus is made of: Python and the packages in their installed versions."""
    names = {"python": sys.version}
    for package in PACKAGES:
        try:
            names[package] = version({"sklearn": "scikit-learn"}.get(package, package))
        except PackageNotFoundError:
            continue
    return hashlib.sha256(repr(sorted(names.items())).encode()).hexdigest()[:10]


def split_of(module: str) -> str:
    """The split of a module, from its dotted path: 94 % train, 3 % validation, 3 % test."""
    bucket = int.from_bytes(hashlib.sha256(module.encode()).digest()[:4], "big") % 100
    return "test" if bucket < 3 else "validation" if bucket < 6 else "train"


def _modules() -> Iterator[tuple[str, Path]]:
    """(dotted module, file) of the standard library and of the packages installed here, in a stable order."""
    roots = [("", Path(sysconfig.get_paths()["stdlib"]))]
    for package in sorted(PACKAGES):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            roots.append((package, Path(spec.submodule_search_locations[0])))
    for package, root in roots:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if TEST_FOLDERS.isdisjoint(parts):
                yield ".".join((package, *parts)).strip("."), path


def _pairs(path: Path) -> list[tuple[str, str, str]]:
    """(name, source, target) of every documented object in a file that has more than a summary."""
    text = path.read_bytes()
    if text.count(b'"""') + text.count(b"'''") < 2:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's files
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    pairs = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        docstring = ast.get_docstring(node)
        summary, _, body = (docstring or "").partition("\n\n")
        target, source_body = " ".join(summary.split()), " ".join(body.split())
        if len(source_body.split()) >= MIN_SOURCE_WORDS and _is_summary(target):
            pairs.append((node.name, f"{_words_of(node.name)}: {source_body}", target))
    return pairs


def _words_of(name: str) -> str:
    """`_BaseAddress` -> `base address`, `get_cache_token` -> `get cache token`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(apart.replace("_", " ").lower().split())


def _is_summary(target: str) -> bool:
    return MIN_TARGET_WORDS <= len(target.split()) <= MAX_TARGET_WORDS and not target.startswith((">>>", ":", ".."))
