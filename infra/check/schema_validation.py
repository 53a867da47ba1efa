"""Every object of a render against the schema of its kind: unknown fields fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.check.builtin_schemas import builtin_mistakes, is_builtin, metadata_mistakes, nulls
from infra.check.cel_rules import rules_of, verdicts
from infra.check.custom_resources import Definition, Definitions, custom_mistakes, definition_of
from infra.check.exceptions import KindWithoutSchema
from infra.check.finding import Finding
from infra.check.pod_templates import RAY_GROUP, pod_templates
from infra.check.rendered import Manifest, Render, group_of, joined, label_of
from infra.check.structural_schemas import with_defaults


@dataclass(kw_only=True)
class Evaluated:
    """What was validated, over all renders.

    Args:
        num_by_schema: objects by what judged them: `builtin`, `custom`, `none`.
        num_rules: rules in CEL that were evaluated.
        unevaluated: (kind, path without indices, rule, reason) -> places.
        kinds_without_schema: that were met.
    """

    num_by_schema: dict[str, int] = field(default_factory=lambda: {"builtin": 0, "custom": 0, "none": 0})
    num_rules: int = 0
    unevaluated: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    kinds_without_schema: set[tuple[str, str]] = field(default_factory=set)


def validate(
    render: Render, definitions: Definitions, known: tuple[KindWithoutSchema, ...], evaluated: Evaluated
) -> Iterator[Finding]:
    """What is wrong with a render's objects.

    Args:
        render: to judge.
        definitions: of custom resources.
        known: kinds that need no schema.
        evaluated: is added to.
    """
    for manifest in render.objects:
        definition = definition_of(manifest, definitions)
        if is_builtin(manifest):
            evaluated.num_by_schema["builtin"] += 1
            for path, problem in builtin_mistakes(manifest):
                yield _finding(render, manifest, path, problem)
        elif definition is not None:
            evaluated.num_by_schema["custom"] += 1
            yield from _custom(render, manifest, definition, evaluated)
        else:
            evaluated.num_by_schema["none"] += 1
            yield from _without_schema(render, manifest, known, evaluated)


def _custom(render: Render, manifest: Manifest, definition: Definition, evaluated: Evaluated) -> Iterator[Finding]:
    for path, problem in (*custom_mistakes(manifest, definition), *nulls(manifest)):
        yield _finding(render, manifest, path, problem)
    complete = with_defaults(definition.schema, manifest)
    for verdict in verdicts(list(rules_of(definition.schema, complete))):
        if verdict.holds is None:
            place = re.sub(r"\[\d+\]", "", verdict.rule.path)
            key = (definition.kind, place, verdict.rule.text, verdict.reason)
            evaluated.unevaluated[key] = evaluated.unevaluated.get(key, 0) + 1
            continue
        evaluated.num_rules += 1
        if not verdict.holds:
            said = f" ({verdict.reason})" if verdict.reason else ""
            problem = f"{verdict.rule.message}{said}; the rule is `{verdict.rule.text}`"
            yield _finding(render, manifest, verdict.rule.path, problem)
    # The definition holds the pods as they were when KubeRay was built; the server judges them again when they start.
    if group_of(manifest) == RAY_GROUP:
        for template in pod_templates(manifest):
            for path, problem in builtin_mistakes(as_pod(template.body)):
                yield _finding(render, manifest, joined(template.path, path) if path else template.path, problem)


def as_pod(template: Manifest) -> Manifest:
    """A template as the pod that it makes."""
    return {"apiVersion": "v1", "kind": "Pod"} | {key: template[key] for key in ("metadata", "spec") if key in template}


def _without_schema(
    render: Render, manifest: Manifest, known: tuple[KindWithoutSchema, ...], evaluated: Evaluated
) -> Iterator[Finding]:
    name = (group_of(manifest), str(manifest.get("kind")))
    evaluated.kinds_without_schema.add(name)
    if not any((one.group, one.kind) == name for one in known):
        problem = f"no schema for {manifest.get('apiVersion')} {manifest.get('kind')}, so a mistake in it stays unseen"
        change = (
            "correct apiVersion and kind; or put its definition into the folder of --crds; or say in "
            "infra/check/kinds_without_schema.yaml why it needs none"
        )
        yield render.finding("schema", manifest, "", problem, change)
    for path, problem in (*metadata_mistakes(manifest), *nulls(manifest)):
        yield _finding(render, manifest, path, problem)


def _finding(render: Render, manifest: Manifest, path: str, problem: str) -> Finding:
    field_path = path.partition("[")[0] or "metadata"
    change = f"correct it; `kubectl explain {label_of(manifest).partition('/')[0].lower()}.{field_path}` says what fits"
    return render.finding("schema", manifest, path, problem, change)
