"""The Hugging Face hub: found to be away in seconds instead of after minutes of retries."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from urllib.parse import urlparse

import datasets
import huggingface_hub

CONNECT_TIMEOUT_S = 5.0


def expect_hub(name: str) -> None:
    """Before a hub name is read: where the hub cannot be reached, use only what is cached.

    Args:
        name: hub name, or a local folder, which needs no hub.
    """
    if not Path(name).exists() and not _is_reachable():
        huggingface_hub.constants.HF_HUB_OFFLINE = True
        datasets.config.HF_HUB_OFFLINE = True


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
