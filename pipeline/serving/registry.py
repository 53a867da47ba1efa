"""MLflow's registered models: students as versions of one name, and the aliases that point at two of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.serving.logged_models import LoggedStudent
from pipeline.tracking.filters import condition_on
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import Tracker

BEST, SMALLEST = "best", "smallest"
EXAMPLES, HEADLINE, SIZE = "examples", "headline", "size_bytes"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A student that is to be a version.

    Args:
        model: its logged model.
        examples: what it was scored on; scores of others do not compare.
        headline: its score, the higher the better.
        size_bytes: its weights on disk.
        tags: what else the version says of itself.
    """

    model: LoggedStudent
    examples: str
    headline: float
    size_bytes: float
    tags: dict[str, str]


def register(tracker: Tracker, name: str, candidates: Sequence[Candidate]) -> dict[str, int]:
    """Make every candidate a version of a registered model, unless it is one, and set the aliases anew.

    Returns:
        run id of each candidate -> its version.
    """
    if not candidates:
        return {}
    return with_retries(lambda: _register_once(tracker.client, name, candidates))


def _register_once(client: Any, name: str, candidates: Sequence[Candidate]) -> dict[str, int]:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    by_source = {version.source: version for version in versions_of(client, name)}
    found = {}
    for candidate in candidates:
        model = candidate.model
        if model.location not in by_source:
            tags = {
                **candidate.tags,
                "run": model.run_id,
                EXAMPLES: candidate.examples,
                HEADLINE: f"{candidate.headline:.4f}",
                SIZE: f"{candidate.size_bytes:.0f}",
            }
            # Not `models:/<id>`: a local store would look that up wherever MLflow's global tracking URI points.
            by_source[model.location] = client.create_model_version(
                name, model.location, run_id=model.run_id, tags=tags, model_id=model.model_id
            )
            _link(client, model.model_id, name, int(by_source[model.location].version))
        found[model.run_id] = int(by_source[model.location].version)
    _point(client, name, candidates[0].examples)
    return found


def _link(client: Any, model_id: str, name: str, version: int) -> None:
    """Let a model's page show its version: a server writes that itself, a local store does not."""
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    tags, entry = client.get_logged_model(model_id).tags, {"name": name, "version": version}
    known = json.loads(tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
    if entry not in known:
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, entry])})


def _point(client: Any, name: str, examples: str) -> None:
    """Of equals, the smaller is best and the better smallest; then the older. What was deleted is neither."""
    rivals = [version for version in versions_of(client, name) if version.tags.get(EXAMPLES) == examples]
    by_score = sorted(rivals, key=lambda version: _place(version, HEADLINE, SIZE), reverse=True)
    by_size = sorted(rivals, key=lambda version: _place(version, SIZE, HEADLINE), reverse=True)
    for alias, ranked in ((BEST, by_score), (SMALLEST, by_size)):
        first = next(version for version in ranked if has_model(client, version))  # a candidate's is there
        client.set_registered_model_alias(name, alias, first.version)


def _place(version: Any, *names: str) -> tuple[float, ...]:
    """What a version is ranked by, the higher the better."""
    values = {HEADLINE: float(version.tags[HEADLINE]), SIZE: -float(version.tags[SIZE])}
    return (*(values[name] for name in names), -int(version.version))


def has_model(client: Any, version: Any) -> bool:
    """Whether the logged model of a version is still there."""
    from mlflow.exceptions import MlflowException

    try:
        experiment = client.get_run(version.run_id).info.experiment_id
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    models = client.search_logged_models([experiment], filter_string=f"source_run_id = '{version.run_id}'")
    return any(model.artifact_location == version.source for model in models)


def versions_of(client: Any, name: str) -> list[Any]:
    """All versions of a registered model."""
    found, token = [], None
    while True:
        page = client.search_model_versions(condition_on("name", name), page_token=token)
        found += [version for version in page if version.name == name]
        token = page.token
        if not token:
            return found
