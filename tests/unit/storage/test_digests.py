"""A file's digest is that of its bytes."""

import hashlib
from pathlib import Path

import pytest

from pipeline.storage.digests import BLOCK_BYTES, sha256_of


@pytest.mark.parametrize("num_bytes", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_a_digest_is_that_of_all_bytes(tmp_path: Path, num_bytes: int) -> None:
    """Files of any length, whole blocks or not."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (num_bytes // 256) + bytes(num_bytes % 256))
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
