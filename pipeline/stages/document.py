"""The JSON document of a job on one line; what is long stands in a file that the line names."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from pipeline.config.masking import masked_values
from pipeline.storage.atomic import atomic_json

MAX_LINE_BYTES = 256_000  # a sweep of a hundred students fits, so that programs find them in their place


def strict(value: Any) -> Any:
    """A document with null in place of numbers that are not finite: JSON has none, and strict parsers refuse them."""
    if isinstance(value, dict):
        return {key: strict(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def document_line(job: str, document: dict[str, Any], storage: Path) -> str:
    """A document as a line of strict JSON; of a longer one the largest entries are left out.

    The whole then lies in storage; the line says where (`whole_document`) and which entries stand only there
    (`only_there`). Equal documents are one file.

    Args:
        job: its name.
        document: what it found.
        storage: the storage folder; where it takes no file, the line is long.
    """
    document = strict(masked_values(document))
    whole = json.dumps(document, sort_keys=True)
    if len(whole) <= MAX_LINE_BYTES:
        return whole
    path = storage.absolute() / "documents" / f"{job}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}.json"
    try:
        atomic_json(path, document)
    except OSError:  # the job is done, and what it found must not be lost
        return whole
    short, left_out = dict(document), list[str]()
    for name in sorted(document, key=lambda name: len(json.dumps(document[name])), reverse=True):
        if len(json.dumps(short)) <= MAX_LINE_BYTES:
            break
        left_out.append(name)
        del short[name]
    return json.dumps({**short, "whole_document": str(path), "only_there": sorted(left_out)}, sort_keys=True)
