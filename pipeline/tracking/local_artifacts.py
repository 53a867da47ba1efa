"""Artifacts that MLflow's client keeps in files of this machine: it copies them and does not wait for the disk.

What MLflow's database knows survives a power cut. So what it calls finished or ready lies on the disk before.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pipeline.storage.atomic import flush_folder, flush_tree

NUM_PARENTS = 3  # folders above artifacts that MLflow makes for a run or a model, such as models/<id>/artifacts


def flush_artifacts(address: str) -> None:
    """Wait until artifacts lie on the disk; those of a server or a bucket are its own business.

    Args:
        address: of a run's or a model's artifacts, as MLflow says it.

    Raises:
        OSError: the disk cannot take them.
    """
    if (folder := local_folder(address)) is None or not folder.is_dir():
        return
    flush_tree(folder)
    for parent in list(folder.parents)[:NUM_PARENTS]:
        flush_folder(parent)


def local_folder(address: str) -> Path | None:
    """The folder that an address of artifacts names; none if it is not one of this machine."""
    if urlsplit(address).scheme not in ("", "file"):
        return None
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(address))
