"""An S3-compatible store: moto's server, which keeps everything in memory."""

from __future__ import annotations

import html
import os
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

from chaos.fault import AbsentError

from verification.processes import Service, asked, free_port

KEY = {"access-key-id": "verification", "secret-access-key": "not/a+secret"}


class ObjectStore:
    """Stopped until it is started; what it held is gone when it stops.

    Args:
        python: an interpreter that has moto.
        folder: for its log.

    Raises:
        AbsentError: there is no moto.
    """

    def __init__(self, python: str, folder: Path) -> None:
        if subprocess.run([python, "-c", "import moto.server"], capture_output=True).returncode:
            raise AbsentError(f"{python} has no moto: pip install 'moto[server,s3]==5.2.5', or --store-python PYTHON")
        folder.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        command = [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        self.service = Service(command, environment, folder / "store.log", os.geteuid())

    def start(self, *buckets: str) -> None:
        """Start it and make buckets."""
        self.service.start(lambda: asked(f"{self.url}/", 2.0)[0] != 0)
        for bucket in buckets:
            asked(urllib.request.Request(f"{self.url}/{bucket}", method="PUT", data=b""))

    def keys(self, bucket: str) -> list[str]:
        """Names of a bucket's objects."""
        found: list[str] = []
        while True:
            after = urllib.parse.urlencode({"list-type": 2, "start-after": found[-1] if found else ""})
            text = asked(f"{self.url}/{bucket}?{after}")[1].decode()
            page = [html.unescape(key) for key in re.findall("<Key>([^<]+)</Key>", text)]
            if not page:
                return found
            found += page

    def stop(self) -> None:
        """End it."""
        self.service.stop()
