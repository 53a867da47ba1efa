"""JSON files that hold their own digest, as one more entry: `sha256`, of all others.

Earlier versions wrote none; what they left is read as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import atomic_json
from pipeline.storage.digests import json_digest
from pipeline.storage.sealed import SHA256, DamagedFileError, read_failure


def sealed_json(path: Path, value: Any) -> None:
    """Write JSON with its own digest; the folder is made if need be.

    Raises:
        OSError: no place to write.
    """
    content = value if isinstance(value, dict) else {"value": value}
    assert SHA256 not in content, "a place of its own"
    atomic_json(path, {**content, SHA256: json_digest(content)})


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
    if not isinstance(content, dict) or SHA256 not in content:
        return content
    expected = content.pop(SHA256)
    if (found := json_digest(content)) != expected:
        raise DamagedFileError(path, f"SHA-256 {expected} of its entries", found)
    return content["value"] if set(content) == {"value"} else content
