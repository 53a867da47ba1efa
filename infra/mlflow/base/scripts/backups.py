"""Backups of both databases in a bucket: store what was dumped, forget old ones, list them, fetch one.

    python backups.py store | list | fetch

BACKUP_DESTINATION (s3://bucket/prefix) holds a folder for each, named by its time (UTC), with the dumps and, written
last, `complete.json` with their sizes and SHA-256: what has none is no backup. BACKUP_FOLDER is where dumps lie here.
`store` removes backups older than BACKUP_KEEP_DAYS, but never the newest BACKUP_KEEP_AT_LEAST. `fetch` takes
BACKUP_NAME (`newest`, or a name that `list` prints). Every mistake ends in an exit code other than 0.
"""

import datetime
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DUMPS = ("mlflow.dump", "mlflow_auth.dump")
COMPLETE = "complete.json"
TIME = "%Y-%m-%dT%H-%M-%SZ"


class Bucket:
    """The backups below a prefix of a bucket.

    Args:
        client: boto3's, for S3.
        destination: s3://bucket/prefix.
    """

    def __init__(self, client: Any, destination: str) -> None:
        scheme, _, rest = destination.partition("://")
        self.client, (self.name, _, self.prefix) = client, rest.partition("/")
        if scheme != "s3" or not self.name or not self.prefix.strip("/"):
            fail(f"BACKUP_DESTINATION={destination}", "s3://bucket/prefix", "set it in the ConfigMap mlflow-settings")
        self.prefix = self.prefix.strip("/")

    def files(self) -> dict[str, list[str]]:
        """Names of the files of each folder, complete or not."""
        found: dict[str, list[str]] = {}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{self.prefix}/")
        for item in (item for page in pages for item in page.get("Contents", [])):
            folder, _, file = item["Key"].removeprefix(f"{self.prefix}/").partition("/")
            found.setdefault(folder, []).append(file)
        return found

    def complete(self) -> list[str]:
        """Names of the backups, the oldest first."""
        return sorted(name for name, files in self.files().items() if COMPLETE in files and is_time(name))

    def store(self, folder: Path, now: datetime.datetime) -> str:
        """Put the dumps of a folder there, and return the backup's name."""
        name, facts = now.strftime(TIME), {}
        for file in DUMPS:
            path = folder / file
            if not path.is_file() or not path.stat().st_size:
                fail(f"no dump at {path}", " and ".join(DUMPS), "see the log of the container `dump`")
            facts[file] = {"num_bytes": path.stat().st_size, "sha256": sha256(path)}
            self.client.upload_file(str(path), self.name, self._key(name, file))
            stored = self.client.head_object(Bucket=self.name, Key=self._key(name, file))["ContentLength"]
            if stored != facts[file]["num_bytes"]:
                fail(f"{file} has {stored} bytes in the bucket", f"{facts[file]['num_bytes']}", "make the backup again")
        self.client.put_object(Bucket=self.name, Key=self._key(name, COMPLETE), Body=json.dumps(facts).encode())
        return name

    def fetch(self, name: str, folder: Path) -> str:
        """Bring a backup into a folder, checked, and return its name."""
        there = self.complete()
        if name == "newest" and there:
            name = there[-1]
        if name not in there:
            fail(f"no backup '{name}'", ", ".join(there[-5:]) or "none is there", "set BACKUP_NAME")
        body = self.client.get_object(Bucket=self.name, Key=self._key(name, COMPLETE))["Body"].read()
        for file, facts in json.loads(body).items():
            self.client.download_file(self.name, self._key(name, file), str(folder / file))
            if (found := sha256(folder / file)) != facts["sha256"]:
                fail(f"{name}/{file} is damaged: SHA-256 {found}", facts["sha256"], "fetch another backup")
        return name

    def remove(self, names: Sequence[str]) -> None:
        """Remove folders, their `complete.json` first: what is left of one is no backup."""
        files = self.files()
        for name in names:
            for file in sorted(files[name], key=lambda file: file != COMPLETE):
                self.client.delete_object(Bucket=self.name, Key=self._key(name, file))

    def _key(self, name: str, file: str) -> str:
        return f"{self.prefix}/{name}/{file}"


def expired(files: dict[str, list[str]], now: datetime.datetime, keep_days: int, keep_at_least: int) -> list[str]:
    """Names of the folders that may go: old backups beyond the newest ones, and what was never completed.

    Args:
        files: of each folder; what is not named by a time is somebody else's and stays.
        now: with a time zone.
        keep_days: younger ones stay.
        keep_at_least: so many of the newest complete ones stay, however old.
    """
    times = {name: datetime.datetime.strptime(name + "+0000", TIME + "%z") for name in files if is_time(name)}
    complete = sorted(name for name in times if COMPLETE in files[name])
    old = [
        name for name in complete[: -keep_at_least or None] if now - times[name] > datetime.timedelta(days=keep_days)
    ]
    halves = [name for name in times if name not in complete and now - times[name] > datetime.timedelta(days=1)]
    return sorted(old + halves)


def is_time(name: str) -> bool:
    """Whether a folder is named as a backup is."""
    try:
        datetime.datetime.strptime(name, TIME)
    except ValueError:
        return False
    return True


def sha256(path: Path) -> str:
    """Of a file that may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def number(name: str) -> int:
    """A whole number from 1 of the environment."""
    value = os.environ.get(name, "")
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        fail(f"{name}='{value}'", "a whole number from 1", "set it in the ConfigMap mlflow-settings")
    return int(value)


def fail(given: str, allowed: str, change: str) -> None:
    """One line for people, exit code 2."""
    print(f"backups: {given}. Allowed: {allowed}. Change: {change}", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    import boto3  # type: ignore[import-not-found]

    bucket = Bucket(boto3.client("s3"), os.environ.get("BACKUP_DESTINATION", ""))
    folder, now = Path(os.environ.get("BACKUP_FOLDER", ".")), datetime.datetime.now(datetime.UTC)
    match arguments:
        case ["store"]:
            days, at_least = number("BACKUP_KEEP_DAYS"), number("BACKUP_KEEP_AT_LEAST")
            name = bucket.store(folder, now)
            old = expired(bucket.files(), now, days, at_least)
            bucket.remove(old)
            print(json.dumps({"stored": name, "removed": old, "kept": len(bucket.complete())}))
        case ["list"]:
            print("\n".join(bucket.complete()))
        case ["fetch"]:
            print(json.dumps({"fetched": bucket.fetch(os.environ.get("BACKUP_NAME", "newest"), folder)}))
        case _:
            fail(f"'{' '.join(arguments)}'", "store, list or fetch", "see the first lines of backups.py")


if __name__ == "__main__":
    main(sys.argv[1:])
