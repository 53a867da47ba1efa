"""What a whole MLflow store knows, whichever experiment it is in: runs by a condition, runs that an alias refers to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import FoundRun, found_run


def runs_where(client: Any, condition: str) -> list[FoundRun]:
    """The runs of all experiments that fulfil a condition; deleted ones are none."""
    ids = [str(one.experiment_id) for one in _all(client.search_experiments)]
    return [*map(found_run, _all(client.search_runs, ids, filter_string=condition, max_results=500))]


def runs_with_alias(client: Any) -> set[str]:
    """Ids of the runs behind all versions that an alias of any registered model names."""
    found = set[str]()
    for model in _all(client.search_registered_models):
        for version in {str(number) for number in dict(model.aliases).values()}:
            entry = _version(client, model.name, version)
            if entry is not None and entry.run_id:
                found.add(str(entry.run_id))
    return found


def _all(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """What a search of MLflow's client finds, page by page."""
    token = None
    while True:
        page = with_retries(functools.partial(search, *arguments, **options, page_token=token))
        yield from page
        if not (token := page.token):
            return


def _version(client: Any, name: str, version: str) -> Any | None:
    """A version; none where it was deleted, and its alias left."""
    from mlflow.exceptions import MlflowException

    try:
        return with_retries(lambda: client.get_model_version(name, version))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return None
