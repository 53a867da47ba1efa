"""JSON files that know what they hold, by two more entries: `written_by`, and `sha256` of all others.

Earlier versions wrote neither; what they left is read as it is. Of one alone the other has been damaged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline import WRITTEN_BY
from pipeline.storage.atomic import atomic_json
from pipeline.storage.digests import json_digest
from pipeline.storage.sealed import SHA256, DamagedFileError, put_aside, read_failure

OWN = {SHA256, "written_by"}


def sealed_json(path: Path, value: Any) -> None:
    """Write JSON with its own digest; the folder is made if need be.

    Raises:
        OSError: no place to write.
    """
    is_open = isinstance(value, dict) and set(value) != {"value"}  # else it could not be told from what is wrapped
    content = json.loads(json.dumps(value if is_open else {"value": value}))  # keys are texts
    assert not OWN & set(content), "they have places of their own"
    content["written_by"] = WRITTEN_BY
    atomic_json(path, {**content, SHA256: json_digest(content)})


def found_json(path: Path, otherwise: str) -> Any | None:
    """What lies in such a file; none where there is none, or where it is damaged: then it is set aside, with a warning.

    Args:
        path: of a file that can be made again.
        otherwise: what happens now if it is damaged, for people.
    """
    try:
        return read_sealed_json(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as damage:
        put_aside(damage, path, otherwise)
        return None


def read_sealed_json(path: Path) -> Any:
    """What `sealed_json` or, without a digest, an earlier version has written.

    Raises:
        DamagedFileError: it has changed, or is no JSON.
        FileNotFoundError: it is not there.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFileError(path, "JSON", read_failure(error)) from None
    if not isinstance(content, dict) or not OWN & set(content):
        return content
    expected = content.pop(SHA256, "of its entries, which it does not name")
    if (found := json_digest(content)) != expected:
        raise DamagedFileError(path, f"SHA-256 {expected}", f"SHA-256 {found} of its entries")
    content.pop("written_by")
    return content["value"] if set(content) == {"value"} else content
