"""What is allowed all the same, each with a sentence; and what manifests may name although nothing here makes it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from infra.check.documents import DocumentError, yaml_document
from infra.check.finding import Finding
from infra.check.rendered import mapping, sequence

EXCEPTIONS, KINDS, BY_HAND = "exceptions.yaml", "kinds_without_schema.yaml", "made_by_hand.yaml"
# Nothing explains these away: they mean that something was not judged, or that the server would refuse it.
NEVER_EXPLAINED = ("discovery", "exceptions", "render", "schema", "checkov", "hadolint", "promql", "prometheus")
_SHORTEST_SENTENCE = 25  # characters
Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Findings that are explained.

    Args:
        check: name of the rule.
        object: pattern of `Kind/name`, or of what else the finding names.
        source: pattern of the file or folder.
        path: pattern of the path in the object.
        because: the sentence.
    """

    check: str
    object: str
    source: str = "*"
    path: str = "*"
    because: str

    def explains(self, finding: Finding) -> bool:
        """Whether it is about this finding."""
        if self.check != finding.check or finding.check in NEVER_EXPLAINED:
            return False
        # `[` means a list's entry in a path, not one of several characters.
        pairs = ((finding.object, self.object), (finding.source, self.source), (finding.path, self.path))
        return all(fnmatch.fnmatchcase(value, pattern.replace("[", "[[]")) for value, pattern in pairs)


@dataclass(frozen=True, kw_only=True)
class KindWithoutSchema:
    """A kind that is not validated.

    Args:
        group: of its apiVersion; empty for the core.
        kind: its name.
        because: the sentence.
    """

    group: str
    kind: str
    because: str


@dataclass(frozen=True, kw_only=True)
class MadeByHand:
    """An object that people make, and manifests name.

    Args:
        kind: of the object.
        name: of it.
        documented_in: the file, relative to the checkout, that says how.
        because: the sentence.
    """

    kind: str
    name: str
    documented_in: str
    because: str


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """All of it, and what is wrong with the files."""

    exemptions: tuple[Exemption, ...] = ()
    kinds: tuple[KindWithoutSchema, ...] = ()
    by_hand: tuple[MadeByHand, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_allowed(root: Path) -> Allowed:
    """The three files in infra/check of a checkout; one that is not there allows nothing."""
    findings: list[Finding] = []
    exemptions = _entries(root, EXCEPTIONS, "exceptions", Exemption, findings)
    kinds = _entries(root, KINDS, "kinds", KindWithoutSchema, findings)
    by_hand = _entries(root, BY_HAND, "objects", MadeByHand, findings)
    for entry in by_hand:
        page = root / entry.documented_in
        if not page.is_file() or entry.name not in page.read_text(encoding="utf-8"):
            problem = f"{entry.kind} {entry.name} is made by hand, and {entry.documented_in} does not name it"
            findings.append(_finding(BY_HAND, problem, "say there how it is made"))
    return Allowed(exemptions=exemptions, kinds=kinds, by_hand=by_hand, findings=tuple(findings))


def explained(findings: Sequence[Finding], exemptions: Sequence[Exemption]) -> tuple[list[Finding], list[Finding]]:
    """(what is left, what is explained); an exception that explains nothing is left, too."""
    left: list[Finding] = []
    gone: list[Finding] = []
    used: set[Exemption] = set()
    for finding in findings:
        fitting = [one for one in exemptions if one.explains(finding)]
        used.update(fitting)
        (gone if fitting else left).append(finding)
    for one in exemptions:
        if one not in used:
            problem = f"the exception for {one.check} at {one.object} ({one.source}) explains nothing"
            left.append(_finding(EXCEPTIONS, problem, "remove it, or correct its patterns"))
    return left, gone


def stale(allowed: Allowed, kinds: set[tuple[str, str]], named: set[tuple[str, str]]) -> Iterator[Finding]:
    """Entries that no object needs.

    Args:
        allowed: the entries.
        kinds: (group, kind) of all objects without a schema.
        named: (kind, name) of all objects that are named and that no render has.
    """
    for kind in allowed.kinds:
        if (kind.group, kind.kind) not in kinds:
            yield _finding(KINDS, f"no object is of kind {kind.kind} ({kind.group or 'core'})", "remove the entry")
    for entry in allowed.by_hand:
        if (entry.kind, entry.name) not in named:
            problem = f"no manifest needs a {entry.kind} {entry.name} that is made by hand"
            yield _finding(BY_HAND, problem, "remove the entry, or correct its name")


def _entries(root: Path, name: str, key: str, make: Callable[..., Entry], findings: list[Finding]) -> tuple[Entry, ...]:
    path = root / "infra" / "check" / name
    if not path.is_file():
        return ()
    try:
        content = yaml_document(path)
    except DocumentError as error:
        findings.append(_finding(name, str(error), "write valid YAML"))
        return ()
    if content is not None and set(mapping(content)) != {key}:
        findings.append(_finding(name, f"it is no mapping with the one key '{key}'", f"write a list under '{key}:'"))
        return ()
    made = []
    for index, given in enumerate(sequence(mapping(content).get(key))):
        problem = _problem_of(given)
        try:
            if not problem:
                made.append(make(**given))
        except TypeError as error:  # a key too many or too few, as Python says it
            problem = str(error).partition(") ")[2] or str(error)
        if problem:
            findings.append(_finding(name, f"{key}[{index}]: {problem}", "see the comment at the top of the file"))
    return tuple(made)


def _problem_of(given: Any) -> str:
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in (*given, *given.values())):
        return "not a mapping of texts"
    sentence = given.get("because", "").strip()
    if len(sentence) < _SHORTEST_SENTENCE or not sentence.endswith("."):
        return f"'because' is no sentence: '{sentence}'"
    return ""


def _finding(name: str, problem: str, change: str) -> Finding:
    return Finding(check="exceptions", source=f"infra/check/{name}", problem=problem, change=change)
