"""`infra/mlflow/base/scripts/backups.py`: what is complete is kept as long as it should be, damage is refused."""

import datetime
import importlib.util
import io
import json
from pathlib import Path

import pytest
from repository import ROOT

NOW = datetime.datetime(2026, 11, 30, 1, 30, tzinfo=datetime.UTC)
WHOLE = ["mlflow.dump", "mlflow_auth.dump", "complete.json"]


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    path = ROOT / "infra" / "mlflow" / "base" / "scripts" / "backups.py"
    spec = importlib.util.spec_from_file_location("backups", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Client:
    """boto3's, as far as the script uses it."""

    def __init__(self):
        self.objects, self.deleted = {}, []

    def get_paginator(self, name):
        return self

    def paginate(self, **of):
        keys = sorted(key for key in self.objects if key.startswith(of["Prefix"]))
        return [{"Contents": [{"Key": key}]} for key in keys] or [{}]

    def upload_file(self, path, bucket, key):
        self.objects[key] = Path(path).read_bytes()

    def head_object(self, **of):
        return {"ContentLength": len(self.objects[of["Key"]])}

    def put_object(self, **of):
        self.objects[of["Key"]] = of["Body"]

    def get_object(self, **of):
        return {"Body": io.BytesIO(self.objects[of["Key"]])}

    def download_file(self, bucket, key, path):
        Path(path).write_bytes(self.objects[key])

    def delete_object(self, **of):
        self.deleted.append(of["Key"])
        del self.objects[of["Key"]]


@pytest.fixture
def bucket(script):
    return script.Bucket(Client(), "s3://backups/databases/")


@pytest.fixture
def dumps(tmp_path):
    """A folder with both."""
    for name in WHOLE[:2]:
        (tmp_path / name).write_text(f"{name} of tonight")
    return tmp_path


def nights(script, ages, files=WHOLE):
    return {(NOW - datetime.timedelta(days=days)).strftime(script.TIME): list(files) for days in ages}


def ages_of(script, names):
    times = [datetime.datetime.strptime(name + "+0000", script.TIME + "%z") for name in names]
    return sorted((NOW - time).days for time in times)


def test_what_was_stored_is_what_is_fetched(bucket, dumps, tmp_path):
    """Byte by byte, by its name or as the newest."""
    name = bucket.store(dumps, NOW)
    assert name == "2026-11-30T01-30-00Z" and bucket.complete() == [name]
    for wanted in ("newest", name):
        (folder := tmp_path / wanted).mkdir()
        assert bucket.fetch(wanted, folder) == name
        assert all((folder / file).read_bytes() == (dumps / file).read_bytes() for file in WHOLE[:2])


@pytest.mark.parametrize("file", WHOLE[:2])
def test_half_a_backup_is_none(bucket, dumps, capsys, file):
    """Without one of its dumps, or with an empty one, it is not begun; nothing is told to be complete."""
    (dumps / file).write_text("")
    with pytest.raises(SystemExit) as ended:
        bucket.store(dumps, NOW)
    assert ended.value.code == 2 and file in capsys.readouterr().err and bucket.complete() == []


def test_a_damaged_backup_is_refused(bucket, dumps, capsys):
    """Its digest is another."""
    name = bucket.store(dumps, NOW)
    bucket.client.objects[f"databases/{name}/mlflow.dump"] += b"!"
    with pytest.raises(SystemExit) as ended:
        bucket.fetch("newest", dumps)
    assert ended.value.code == 2 and "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["newest", "2020-01-01T00-00-00Z"])
def test_one_that_is_not_there_is_told(bucket, dumps, capsys, name):
    """With the names of those that are."""
    with pytest.raises(SystemExit) as ended:
        bucket.fetch(name, dumps)
    assert ended.value.code == 2 and f"'{name}'. Allowed: none" in capsys.readouterr().err


def test_old_backups_go_and_the_newest_stay_however_old(script):
    """Older than 30 days, but for the 7 newest; where none was made for a year, seven are left."""
    assert ages_of(script, script.expired(nights(script, range(60)), NOW, 30, 7)) == list(range(31, 60))
    assert ages_of(script, script.expired(nights(script, range(365, 375)), NOW, 30, 7)) == [372, 373, 374]


def test_what_was_never_completed_counts_for_nothing_and_goes_after_a_day(script):
    """It neither takes a place among the newest nor stays for ever; one that is under way stays."""
    halves = nights(script, [0, 2], WHOLE[:1])
    files = nights(script, [40, 41]) | halves | {"of somebody else": ["a"], "": ["b"]}
    assert ages_of(script, script.expired(files, NOW, 30, 1)) == [2, 41]


def test_a_backup_that_is_removed_is_no_backup_from_the_first_moment(bucket, dumps):
    """A pod that is ended in between leaves nothing that looks whole."""
    name = bucket.store(dumps, NOW)
    bucket.remove([name])
    assert bucket.client.deleted[0].endswith("complete.json") and not bucket.client.objects


@pytest.mark.parametrize(
    "destination", ["", "backups/databases", "s3://", "s3://backups", "s3://backups/", "file://a/b"]
)
def test_a_place_that_is_none_is_refused(script, capsys, destination):
    """Without a prefix, whatever else lies in the bucket would be listed."""
    with pytest.raises(SystemExit):
        script.Bucket(Client(), destination)
    assert "s3://bucket/prefix" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "is_right"), [("7", True), ("0", False), ("", False), ("-1", False), ("a week", False)]
)
def test_settings_are_whole_numbers(script, monkeypatch, capsys, value, is_right):
    """Zero days would remove all but the newest."""
    monkeypatch.setenv("BACKUP_KEEP_DAYS", value)
    if is_right:
        assert script.number("BACKUP_KEEP_DAYS") == 7
    else:
        with pytest.raises(SystemExit):
            script.number("BACKUP_KEEP_DAYS")
        assert json.dumps(value).strip('"') in capsys.readouterr().err
