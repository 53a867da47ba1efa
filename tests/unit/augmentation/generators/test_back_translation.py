"""Texts that come back in other words."""

import random

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.back_translation import BackTranslation
from pipeline.augmentation.generators.rewriter import Draft


def returned(examples, there, back):
    """The examples, there and back."""
    drafts = [Draft(parent=example, random=random.Random(0)) for example in examples]
    return BackTranslation(there=there, back=back)(drafts, examples)


def test_texts_go_there_and_come_back():
    """Each once, however often it is asked for; texts without words stay."""
    asked = []

    def there(texts):
        asked.append(list(texts))
        return [text.upper() for text in texts]

    examples = [TextExample(source="b a"), TextExample(source="a", second=" "), TextExample(source="b a", second="a")]
    made = returned(examples, there, lambda texts: [f"{text}!" for text in texts])
    assert [one.texts for one in made] == [Texts("B A!"), Texts("A!", " "), Texts("B A!", "A!")]
    assert asked == [["a", "b a"]]


def test_what_comes_back_empty_is_no_text():
    """Of a pair neither; without any words nobody is asked."""
    examples = [TextExample(source="a"), TextExample(source="a", second="b"), TextExample(source="b")]
    made = returned(examples, list, lambda texts: [text.replace("a", " ") for text in texts])
    assert made[:2] == [None, None] and made[2].texts == Texts("b")

    def never(texts):
        raise AssertionError

    assert returned([TextExample(source=" ")], never, never)[0].texts == Texts(" ")
