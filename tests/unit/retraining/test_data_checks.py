"""All checks together: ordinary data pass, every kind of damage is refused, and none hides another."""

import pytest
from made_up_pairs import joined, labelled, moved, shuffled, translations

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.data_checks import check_data
from pipeline.retraining.likelihood import Likelihoods
from pipeline.retraining.pairs import Pairs

CONFIG = DataChecksConfig()
BEFORE, NOW, FROZEN = translations(500), translations(500, seed=1), translations(50, seed=2)
LABELS, NEW_LABELS = labelled(500), labelled(500, seed=1)


def failing(new, reference=BEFORE, has_labels=False):
    return {result.name for result in check_data(new, reference, FROZEN, CONFIG, has_labels).refusals}


@pytest.mark.parametrize(("new", "reference", "has_labels"), [(NOW, BEFORE, False), (NEW_LABELS, LABELS, True)])
@pytest.mark.parametrize("seed", [0, 1])
def test_ordinary_data_pass_in_any_order(new, reference, has_labels, seed):
    """All but the search for moved lines measures the same, too."""
    one = check_data(new, reference, FROZEN, CONFIG, has_labels)
    other = check_data(shuffled(new, seed), shuffled(reference, seed), FROZEN, CONFIG, has_labels)
    assert one.passed and other.passed
    assert [row["measured"] for row in other.rows()] == pytest.approx([row["measured"] for row in one.rows()])


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (moved(NOW), "alignment: lengths"),
        (Pairs(NOW.targets, NOW.sources), "letters of sources"),
        (joined(NOW, NOW), "duplicates"),
        (NOW.at(range(300)), "volume"),
        (Pairs([text[:20] for text in NOW.sources], NOW.targets), "lengths of sources"),
        (Pairs(NOW.sources, [text.encode().decode("latin-1") for text in NOW.targets]), "encoding of targets"),
        (Pairs([*NOW.sources[:-1], 5], NOW.targets), "types"),
        (Pairs([*NOW.sources[:-1], "a\0"], NOW.targets), "NUL bytes of sources"),
        (Pairs(NOW.sources, [*[""] * 10, *NOW.targets[10:]]), "empty targets"),
        (joined(NOW, FROZEN), "overlap with the test set"),
        (Pairs([], []), "number of examples"),
    ],
)
def test_damaged_data_are_refused(new, found):
    """Each kind by the check that is made for it."""
    assert found in failing(new)


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (Pairs(NEW_LABELS.sources, ["yes"] * 500), {"variety of targets", "label shift"}),
        (Pairs(NEW_LABELS.sources, [*NEW_LABELS.targets[:-1], "perhaps"]), {"unknown labels"}),
        (joined(NEW_LABELS, Pairs(NEW_LABELS.sources[:20], ["yes", "no"] * 10)), {"contradicting labels"}),
        (moved(NEW_LABELS), set()),
    ],
)
def test_damaged_labels_are_refused(new, found):
    """One label, an unknown one, contradictions; that labels slipped only a teacher sees."""
    assert failing(new, LABELS, has_labels=True) == found


def test_nothing_stops_at_the_first():
    """Several mistakes are found at once, and there are as many results as ever."""
    bad = joined(moved(Pairs(NOW.targets, NOW.sources)), Pairs([None, "a\0"] * 40, ["x", ""] * 40))
    report = check_data(bad, BEFORE, FROZEN, CONFIG, False)
    wanted = {
        "types",
        "NUL bytes of sources",
        "empty targets",
        "duplicates",
        "letters of sources",
        "alignment: lengths",
    }
    assert wanted <= {result.name for result in report.refusals} and not report.passed
    assert len(report.rows()) == len(check_data(NOW, BEFORE, FROZEN, CONFIG, False).rows())


def test_on_the_first_night_it_is_said_what_cannot_be_compared():
    """What data say of themselves is checked all the same."""
    report = check_data(NOW, None, FROZEN, CONFIG, False)
    assert report.passed and {result.name for result in report.undecided} == {"accepted data", "alignment: likelihood"}
    assert failing(joined(NOW, NOW), None) == {"duplicates"}


def test_a_teacher_that_finds_others_likelier_refuses_the_data():
    """For labels it is the only one that can."""
    unlike, like = (
        Likelihoods(true_nll=[own] * 500, shuffled_nll=[1.0] * 500, labels=NEW_LABELS.targets) for own in (2.0, 0.5)
    )
    assert check_data(NEW_LABELS, LABELS, FROZEN, CONFIG, True, like).passed
    (refusal,) = check_data(NEW_LABELS, LABELS, FROZEN, CONFIG, True, unlike).refusals
    assert (refusal.name, refusal.measured) == ("alignment: likelihood", 0.0)
