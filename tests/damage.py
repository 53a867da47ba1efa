"""What happens to files on disks."""

DAMAGES = ["flipped", "cut", "empty", "missing"]


def damage(path, kind, place=None):
    """Damage a file: flip one of its bits (in the middle, or at a place), cut its second half, empty or remove it."""
    content = bytearray(path.read_bytes())
    place = 4 * len(content) if place is None else place
    path.unlink()  # another file, should a link share this one
    if kind == "flipped":
        content[place // 8] ^= 1 << place % 8
    if kind != "missing":
        path.write_bytes({"flipped": content, "cut": content[: len(content) // 2], "empty": b""}[kind])
