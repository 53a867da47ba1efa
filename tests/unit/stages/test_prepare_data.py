"""Tokenizers and token ids lie under long names; keys are made of their beginnings, as in earlier versions."""

import hashlib
from pathlib import Path

from pipeline.data.tokenise import train_tokenizer
from pipeline.stages.prepare_data import _keep_tokenizer, key_of
from pipeline.storage.layout import Storage


def test_a_tokenizer_lies_under_its_whole_identity(tmp_path: Path) -> None:
    """More than 64 bits of it; what keys say of it is what they always said."""
    tokenizer = train_tokenizer(["one text"], 300)
    folder = _keep_tokenizer(tokenizer, Storage(root=tmp_path))
    files = sorted(folder.iterdir())
    old = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()
    assert folder.name == f"{old[:10]}-{old[10:32]}"
    assert key_of(str(folder)) == old[:10] == key_of(tmp_path / old[:10])
    assert _keep_tokenizer(tokenizer, Storage(root=tmp_path)) == folder
