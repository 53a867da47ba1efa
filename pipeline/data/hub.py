"""The Hugging Face hub, or a folder like one of its data sets: found to be away in seconds, and read with care."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlparse

import datasets
import huggingface_hub

from pipeline.config.errors import UserError
from pipeline.storage.leftovers import hidden_prefix

CONNECT_TIMEOUT_S = 5.0
HUB_FILES = "hf://datasets/"


def expect_hub(name: str) -> None:
    """Before a hub name is read: where the hub cannot be reached, use only what is cached.

    Args:
        name: hub name, or a local folder, which needs no hub.
    """
    if not Path(name).exists() and not _is_reachable():
        huggingface_hub.constants.HF_HUB_OFFLINE = True
        datasets.config.HF_HUB_OFFLINE = True


def load_from_hub(name: str, subset: str | None, cache_dir: Path) -> datasets.DatasetDict:
    """A data set as the library reads it; a folder is read anew every time.

    The library would know a folder's files by name, time and size, and give out its copy of others. So it gets a place
    for its copy that is gone when this returns: what is mapped into memory stays, and takes disk as long as it is used.

    Args:
        name: hub name, or a local folder.
        subset: the hub's configuration.
        cache_dir: where that place is.

    Raises:
        UserError: a data set that names files of others as its own.
        Exception: whatever else the library finds.
    """
    if not Path(name).is_dir():
        return _loaded(name, subset, None)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache_dir, prefix=hidden_prefix("folder"), ignore_cleanup_errors=True) as scratch:
        return _loaded(name, subset, scratch)


def _loaded(name: str, subset: str | None, cache_dir: str | None) -> datasets.DatasetDict:
    builder = datasets.load_dataset_builder(name, subset, cache_dir=cache_dir)
    # A README may name any path of this machine, or any address.
    own = f"{HUB_FILES}{name.removeprefix(HUB_FILES)}@"
    home = f"{Path(name).resolve().as_posix()}/" if Path(name).is_dir() else own
    for file in (str(file) for files in (builder.config.data_files or {}).values() for file in files):
        if not file.startswith(home) or ".." in Path(file).parts:
            raise UserError(
                f"data set '{name}' names '{file}' as its data",
                f"files in {home}",
                "check who made it, or copy the file",
            )
    builder.download_and_prepare()
    return builder.as_dataset()


@functools.cache
def _is_reachable() -> bool:
    if any(os.environ.get(proxy) for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # the proxy decides; a direct connection would prove nothing
    endpoint = urlparse(huggingface_hub.constants.ENDPOINT)
    try:
        socket.create_connection((endpoint.hostname or "", endpoint.port or 443), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True
