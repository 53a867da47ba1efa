"""Changes to plain data that no writer would make: other types, signs and sizes, nothing at all."""

import copy
import json

from hypothesis import strategies

from pipeline.runtime.manifest_file import DIGEST, MANIFEST, bound, folder_digests

GONE = object()
VALUES = (GONE, None, True, False, -1, 0, 1, 10**6, -(10**9), 10**30, 0.5, "", "x", "../x", (), ("x",), {}, {"a": 1})
CHECKSUMS = ("sha256", DIGEST)


def places(value, at=()):
    """Ways to every value inside plain data, the outermost first; checksums are left out."""
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        if at or key not in CHECKSUMS:
            yield from places(one, (*at, key))


def mutations(value):
    """A strategy: (place, value in its stead)."""
    return strategies.tuples(strategies.sampled_from(list(places(value))), strategies.sampled_from(VALUES))


def mutated(value, place, new):
    """Plain data with another value, or none, in a place."""
    changed = copy.deepcopy(value)
    at = changed
    for key in place[:-1]:
        at = at[key]
    if new is GONE:
        del at[place[-1]]
    else:
        at[place[-1]] = list(new) if isinstance(new, tuple) else new
    return changed


def write_manifest(folder, manifest):
    """Write a manifest whose checksums are those of the files, and of itself."""
    said = {**manifest, "sha256": folder_digests(folder)} if "sha256" in manifest else manifest
    (folder / MANIFEST).write_text(json.dumps(bound(said)))
