"""What a request may hold, and what it is told."""

import pytest

from pipeline.config.errors import UserError
from pipeline.runtime import request
from pipeline.runtime.request import check_size, check_texts


def test_a_request_has_a_largest_number_of_texts_and_of_characters():
    """Both sides of a pair count; what is no text is told by whoever looks at it."""
    check_size(["a"] * request.MAX_TEXTS, None)
    with pytest.raises(UserError, match=r"10,001 texts in a request. Allowed: at most 10,000"):
        check_size(["a"] * (request.MAX_TEXTS + 1), None)
    half = "a" * (request.MAX_CHARACTERS // 2)
    check_size([half, None, 7], [half])
    for texts, second in (([half, half + "b"], None), ([half], [half + "b"])):
        with pytest.raises(UserError, match=r"2,000,001 characters in a request"):
            check_size(texts, second)


def test_lists_in_lists_in_lists_are_no_text():
    """However many there are: writing them down takes a step for each."""
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(UserError, match=r"text 2 is '\.\.\.' \(list\)"):
        check_texts(["a", nested], None, None)


@pytest.mark.parametrize("texts", ["a text", 0.5, None, 7, True])
def test_what_is_no_list_is_no_texts(texts):
    """A single text would be one of letters; a number has no length."""
    with pytest.raises(UserError, match="alone"):
        check_texts(texts, None, None)
