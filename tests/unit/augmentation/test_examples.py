"""Examples and their names."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.examples import Origin, TextExample, Texts, id_of


@given(st.text(), st.text())
def test_different_texts_have_different_names(one, other):
    """Space in between and around makes no difference, everything else does: a pair is no text."""
    assert (id_of(Texts(one)) == id_of(Texts(other))) == (one.split() == other.split())
    assert id_of(Texts(one, other)) == id_of(Texts(f" {one}\n", f"{other}\t"))
    assert id_of(Texts(one, other)) not in (id_of(Texts(one)), id_of(Texts(f"{one}\0{other}")))


def test_names_stay_from_version_to_version():
    """Stored examples are found again; half a surrogate pair, which files can hold, has one, too."""
    assert id_of(Texts("a  b", None)) == "9fef46f302ec4cbb90d1f28cbedbf118"
    assert len({id_of(Texts(text)) for text in ("\ud83d", "😀", "\\ud83d", "")}) == 4


def test_neither_answer_nor_origin_makes_another_text():
    """An example is known by what a model reads of it."""
    origin = Origin(generator="g", round_number=1, parent_id="p", parent_source="s", parent_second="t")
    example = TextExample(source="a", second="b", target="yes", origin=origin)
    assert example.id == TextExample(source="a", second="b").id == id_of(example.texts)
    assert origin.parent_texts == Texts("s", "t")
    assert dataclasses.asdict(example)["origin"]["parent_source"] == "s"
