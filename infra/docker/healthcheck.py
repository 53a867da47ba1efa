"""Whether the Ray node in this container is alive: exit code 0 or 1, and what it says of itself on stdout.

    python infra/docker/healthcheck.py [PORT]

Ray's agent answers on every node: for its raylet, and on the head for the cluster's store as well. It asks for no
token. A worker whose head is gone is healthy for as long as its raylet waits for it: to start it again would not help.
PORT is what `ray start` was told with --dashboard-agent-listen-port, if it was.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

PORT = "52365"
TIMEOUT_SECONDS = 5.0


def answer(port: str) -> tuple[bool, str]:
    """Whether the node is alive, and what its agent says, or why it says nothing."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our loopback
    try:
        with direct.open(f"http://127.0.0.1:{port}/api/healthz", timeout=TIMEOUT_SECONDS) as page:
            return True, page.read().decode()
    except urllib.error.HTTPError as error:
        return False, error.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        return False, f"no Ray node answers on port {port}: {error}"


if __name__ == "__main__":
    is_alive, said = answer(*(sys.argv[1:2] or [PORT]))
    print(said)
    sys.exit(not is_alive)
