"""`infra/docker/healthcheck.py`: what Ray's agent says of the node, as an exit code."""

import http.server
import subprocess
import sys
import threading

import pytest
from repository import ROOT


def asked(port):
    """Exit code and what was printed, with a proxy that is none."""
    command = [sys.executable, "infra/docker/healthcheck.py", str(port)]
    environment = {"http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def agent():
    """An agent that answers as it is told: `agent(status, text)` -> its port; the paths that it was asked for."""
    servers, paths = [], []

    def start(status, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                paths.append(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                """Nothing."""

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1].server_port

    start.paths = paths
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_node_is_as_healthy_as_its_agent_says(agent):
    """Of its raylet and, on the head, of the cluster's store."""
    assert asked(agent(200, "raylet: success\ngcs: success")) == (0, "raylet: success\ngcs: success\n")
    assert asked(agent(503, "raylet: success\ngcs: failed")) == (1, "raylet: success\ngcs: failed\n")
    assert agent.paths == ["/api/healthz"] * 2


def test_where_no_agent_answers_nothing_is_healthy():
    """A sentence instead of a traceback."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as free:
        port = free.server_port
    code, said = asked(port)
    assert code == 1 and said.startswith(f"no Ray node answers on port {port}: ") and said.count("\n") == 1


def test_ray_still_answers_there():
    """The port and the path are Ray's own, and need no token: a release that changes that is to be seen."""
    from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT
    from ray.dashboard.http_server_agent import PUBLIC_EXACT_PATHS

    text = (ROOT / "infra" / "docker" / "healthcheck.py").read_text()
    assert f'PORT = "{DEFAULT_DASHBOARD_AGENT_LISTEN_PORT}"' in text
    assert "/api/healthz" in PUBLIC_EXACT_PATHS and "/api/healthz" in text
