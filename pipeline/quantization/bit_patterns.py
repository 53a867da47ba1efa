"""Bits of single modules written as the patterns of a recipe: `recipe.quantization.bits`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


def patterns_for(bits: Mapping[str, float], usual: Mapping[str, float]) -> list[str]:
    """Entries `pattern=bits` under which every module has its bits; the last that matches counts.

    Common ones come first, exceptions after them: the shortest list of those whose patterns name all in a part of the
    model, layer by layer, or the same part of all layers where that is shorter.

    Args:
        bits: module -> bits; those that are not named keep their usual ones.
        usual: every module whose bits a pattern could change -> its bits where none matches.

    Raises:
        ValueError: bits of a module that is not among the usual ones.
    """
    if unknown := sorted(set(bits) - set(usual)):
        raise ValueError(f"bits of {unknown[0]}, which is not quantized")
    wanted = {**usual, **bits}
    lists = [_shortest(_tree(paths), wanted, usual) for paths in (_by_layer(usual), _by_part(usual))]
    return min((one for one in lists if _bits_under(one, usual) == wanted), key=len)


def escaped(module: str) -> str:
    """A pattern that matches one module alone."""
    return re.sub(r"([*?[])", r"[\1]", module)


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the model: its own pattern, modules that are called so, and what is inside."""

    pattern: str
    modules: list[str] = field(default_factory=list)
    inside: dict[str, _Part] = field(default_factory=dict)


Path = list[tuple[str, str]]  # from the outermost part inwards: key, pattern of all in it


def _by_layer(modules: Mapping[str, float]) -> dict[str, Path]:
    """Parts as they are nested."""
    paths = {}
    for module in modules:
        parts = module.split(".")
        inner = [".".join(parts[:depth]) for depth in range(1, len(parts))]
        paths[module] = [("", "*"), *((name, f"{escaped(name)}.*") for name in inner)]
    return paths


def _by_part(modules: Mapping[str, float]) -> dict[str, Path]:
    """The same with a layer's number innermost, so that one part of all layers is a part."""
    paths = {}
    for module in modules:
        stack, number, rest = _numbered(module)
        path = _by_layer({module: 0.0})[module]
        if number:
            outer = [(name, pattern) for name, pattern in path if len(name) <= len(stack)]
            parts, all_layers = rest.split("."), f"{escaped(stack)}.*"
            inner = [".".join(parts[:depth]) for depth in range(1, len(parts))]
            path = [*outer, *((f"{stack}.*.{name}", f"{all_layers}.{escaped(name)}.*") for name in inner)]
            path.append((f"{stack}.*.{rest}", f"{all_layers}.{escaped(rest)}"))
        paths[module] = path
    return paths


def _numbered(module: str) -> tuple[str, str, str]:
    """(before, layer's number, behind) of a module; no number where it lies in no layer."""
    match = re.fullmatch(r"(.+?)\.(\d+)\.(.+)", module)
    return (match[1], match[2], match[3]) if match else (module, "", "")


def _tree(paths: Mapping[str, Path]) -> _Part:
    root = _Part("*")
    for module, path in paths.items():
        part = root
        for key, pattern in path[1:]:
            part = part.inside.setdefault(key, _Part(pattern))
        part.modules.append(module)
    return root


def _shortest(root: _Part, wanted: Mapping[str, float], usual: Mapping[str, float]) -> list[str]:
    """The shortest list of entries: every part either says bits for all in it or leaves them as it finds them."""
    values = sorted(set(wanted.values()))

    @functools.cache
    def entries(part: _Part, found: float | None) -> tuple[str, ...]:
        as_found = tuple(below(part, found))
        said = ((f"{part.pattern}={bits:g}", *below(part, bits)) for bits in values if bits != found)
        return min((as_found, *said), key=len)

    def below(part: _Part, found: float | None) -> Iterator[str]:
        for inner in part.inside.values():
            yield from entries(inner, found)
        for module in part.modules:
            if (usual[module] if found is None else found) != wanted[module]:
                yield f"{escaped(module)}={wanted[module]:g}"

    return list(entries(root, None))


def _bits_under(entries: list[str], usual: Mapping[str, float]) -> dict[str, float]:
    """What every module gets."""
    split = [(pattern, float(bits)) for pattern, _, bits in (entry.rpartition("=") for entry in entries)]
    return {
        module: next((bits for pattern, bits in reversed(split) if fnmatchcase(module, pattern)), own)
        for module, own in usual.items()
    }
