"""Examples as pairs, and which texts are the same."""

import pytest

from pipeline.config.errors import UserError
from pipeline.retraining.pairs import Pairs, digest_of, normalised


def test_every_source_has_a_target():
    """One missing line is told with both numbers."""
    with pytest.raises(UserError, match="2 sources with 1 targets"):
        Pairs(["a", "b"], ["c"])


@pytest.mark.parametrize(
    "other", ["the café is open", " The  CAFÉ\tis open\n", "the cafe\u0301 is open", "\uff54\uff48\uff45 café is open"]
)
def test_case_spaces_and_unicode_forms_make_no_difference(other):
    """Composed or not, wide or not."""
    assert normalised(other) == "the café is open" and digest_of(other, "x") == digest_of("the café is open", "X")


def test_texts_run_into_each_other_nowhere_in_a_digest():
    """The same letters parted elsewhere; half a surrogate has a digest, too; known digits stay."""
    assert len({digest_of("a b", "c"), digest_of("a", "b c"), digest_of("a b c"), digest_of("c", "a b")}) == 4
    assert len(digest_of("\ud800", "")) == 64
    assert digest_of("a", "b") == "3554d2b8a1e34099053865de8576d1460b807430ec8c6b85315c9607ba93d308"
