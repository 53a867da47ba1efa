"""Another language or alphabet is found without a name of any."""

from collections import Counter

import pytest
from made_up_pairs import translations

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.languages import by_letter, check_language, known_scripts, letters_of, script_of

CONFIG = DataChecksConfig()
BEFORE = translations(300)
NOW = translations(300, seed=1)


def failing(new, reference):
    found = check_language(new, reference, "texts", CONFIG)
    return [result.name.split()[0] for result in found if not result.passed]


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (NOW.sources, []),
        (NOW.targets, ["letters", "words"]),
        (["привет как дела друзья"] * 100, ["scripts", "letters", "words"]),
        ([text.upper() for text in NOW.sources], []),
        ([text[::-1] for text in NOW.sources], ["words"]),
        ([*NOW.sources, "Дели"], []),
        (["12 34"] * 100, ["letters", "words"]),
    ],
)
def test_another_language_is_refused(new, found):
    """By its script, its letters, its words; a foreign name among many texts is ordinary."""
    assert failing(new, BEFORE.sources) == found


@pytest.mark.parametrize(
    ("letter", "script"), [("é", "LATIN"), ("я", "CYRILLIC"), ("我", "CJK"), ("か", "HIRAGANA"), ("한", "HANGUL")]
)
def test_letters_have_scripts(letter, script):
    """By their Unicode names."""
    assert script_of(letter) == script


def test_a_script_is_expected_from_a_thousandth_of_letters_on():
    """A single formula does not make Greek one that is."""
    greek = Counter("λβ")
    assert known_scripts(greek, Counter({"a": 10_000, "λ": 1})) == 0.0
    assert known_scripts(greek, Counter({"a": 900, "λ": 100})) == 1.0
    assert known_scripts(Counter(), greek) == 1.0


def test_letters_of_scripts_with_thousands_count_as_their_script():
    """Else two Chinese texts would share nothing; composed letters are those that are typed in two."""
    assert by_letter(letters_of(["我在 Aa!", "这"])) == Counter({"CJK": 3, "a": 2})
    assert letters_of(["cafe\u0301"]) == letters_of(["CAFÉ"])
