"""Rules in CEL (x-kubernetes-validations) of custom resources, at every place of an object where they apply.

Evaluated by cel-expr-python, the Python face of Google's C++ implementation: of the three libraries that the package
index has it alone refuses an unknown function when it compiles, so that a rule is never half evaluated.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.check.rendered import joined, mapping, sequence
from infra.check.structural_schemas import Schema, inner_schema

# Words that are no field names in CEL, and how Kubernetes writes them there.
_RESERVED = {
    *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
    *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
}
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule at one place of an object.

    Args:
        path: of the place.
        text: in CEL.
        message: for people.
        value: what is there, with fields as CEL names them.
    """

    path: str
    text: str
    message: str
    value: Any

    @property
    def is_transition(self) -> bool:
        """Whether it compares with the object before: there is none in a file."""
        return bool(re.search(r"\boldSelf\b", self.text))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a rule.

    Args:
        rule: it.
        holds: None: it was not evaluated.
        reason: why not, or what went wrong.
    """

    rule: Rule
    holds: bool | None
    reason: str = ""


def rules_of(schema: Schema, value: Any, path: str = "") -> Iterator[Rule]:
    """All rules that apply to a value.

    Args:
        schema: structural.
        value: with defaults.
        path: of the value.
    """
    for one in sequence(schema.get("x-kubernetes-validations")):
        text = str(mapping(one).get("rule"))
        yield Rule(path=path, text=text, message=str(one.get("message") or text), value=as_in_cel(schema, value))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from rules_of(inner_schema(schema, name), inner, joined(path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from rules_of(mapping(schema.get("items")), inner, joined(path, index))


def as_in_cel(schema: Schema, value: Any) -> Any:
    """A value whose fields, not the keys of its maps, have the names that they have in CEL."""
    if isinstance(value, dict):
        fields = mapping(schema.get("properties"))
        return {
            (escaped(name) if name in fields else name): as_in_cel(inner_schema(schema, name), inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [as_in_cel(mapping(schema.get("items")), inner) for inner in value]
    return value


def escaped(name: str) -> str:
    """A field's name in CEL."""
    if name in _RESERVED:
        return f"__{name}__"
    for before, after in _ESCAPES:
        name = name.replace(before, after)
    return name


def verdicts(rules: Sequence[Rule]) -> Iterator[Verdict]:
    """What comes of rules; those that cannot be evaluated say why."""
    for rule in rules:
        if rule.is_transition:
            yield Verdict(rule=rule, holds=None, reason="compares with the object before the change (oldSelf)")
            continue
        program = _program(rule.text)
        if isinstance(program, str):
            yield Verdict(rule=rule, holds=None, reason=f"not evaluated here: {program}")
            continue
        answer = program.eval(data={"self": rule.value})
        said = answer.value()
        if isinstance(said, bool):
            yield Verdict(rule=rule, holds=said)
        else:  # the server refuses, too
            yield Verdict(rule=rule, holds=False, reason=" ".join(str(said).split()))


@functools.cache
def _program(text: str) -> Any:
    """A compiled rule; a text: why there is none."""
    try:
        return _environment().compile(text)
    except (RuntimeError, ValueError) as error:
        return str(error).strip().splitlines()[0]


@functools.cache
def _environment() -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    extensions = [ext_strings.ExtStrings(), ext_optional.ExtOptional()]
    return cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=extensions)
