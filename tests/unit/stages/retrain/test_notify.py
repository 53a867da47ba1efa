"""Whoever is told of a night gets JSON; whoever does not listen stops nothing."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.config.sections.retrain import RetrainConfig
from pipeline.stages.retrain.notify import notify

MESSAGE = {"decision": "KEPT", "reasons": ["ü < 1"]}


def program(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_a_program_gets_the_decision(tmp_path):
    """On its standard input, and nothing of it is a shell's."""
    told = tmp_path / "told $(id)"
    notify(
        RetrainConfig(notify_command=program("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", told)),
        MESSAGE,
    )
    assert json.loads(told.read_text()) == MESSAGE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"notify_command": ["/no/such/program"]}, "No such file"),
        ({"notify_command": program("raise SystemExit('out of order')")}, "ended with code 1: out of order"),
        ({"notify_command": program("while True: pass"), "notify_seconds": 0.3}, "timed out after 0.3 seconds"),
        ({"notify_command": ["a\0b"]}, "embedded null byte"),
        ({"notify_url": "http://127.0.0.1:1/x"}, "refused"),
        ({"notify_url": "http://127.0.0.1:none/x"}, "InvalidURL"),
    ],
)
def test_nobody_who_does_not_listen_stops_a_night(settings, said, caplog):
    """A warning says who was not told, and why."""
    notify(RetrainConfig(**settings), MESSAGE)
    assert f"nobody was told by retrain.{next(iter(settings))}" in caplog.text and said in caplog.text


def test_an_address_gets_the_decision():
    """As JSON, by POST, with a login where libraries expect it."""
    found = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            found.append(
                (
                    self.path,
                    self.headers["Authorization"],
                    json.loads(self.rfile.read(int(self.headers["Content-Length"]))),
                )
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    notify(RetrainConfig(notify_url=f"http://u:p%40ss@127.0.0.1:{server.server_port}/hook?token=x"), MESSAGE)
    thread.join()
    server.server_close()
    assert found == [("/hook?token=x", "Basic dTpwQHNz", MESSAGE)]
