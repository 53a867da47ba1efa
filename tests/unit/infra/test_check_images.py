"""`infra/check/laws/images.py`: which names of images always mean the same image."""

import pytest
from small_infra import DIGEST

from infra.check.laws.images import image_problem

SET = frozenset({"registry.example:5000/dq", "dq"})


@pytest.mark.parametrize(
    "image",
    [f"x@{DIGEST}", f"registry.example:5000/x:1.2@{DIGEST}", "registry.example:5000/dq:1.2", "dq:1.2", f"dq@{DIGEST}"],
)
def test_a_pinned_image_is_fine(image):
    """By digest, or by a tag where an overlay names releases."""
    assert image_problem(image, SET) == ""


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("", "no image"),
        ("dq", "neither tag nor digest"),
        ("registry.example:5000/dq", "neither tag nor digest"),
        ("dq:latest", "pushed last"),
        ("x:1.2", "pushed again"),
        ("other/dq:1.2", "pushed again"),
        ("x@sha256:123", "no digest"),
        (f"x@md5:{'0' * 64}", "no digest"),
        (f"dq@{DIGEST.upper()}", "no digest"),
    ],
)
def test_an_image_that_may_change_is_said(image, word):
    """The port of a registry is no tag; another repository of the same name is another one."""
    assert word in image_problem(image, SET)
