"""Gates: what passes, what just fails, and that no number gets a candidate past a gate that it fails."""

import copy
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.behaviour import Behaviour
from pipeline.retraining.decisions import Decision
from pipeline.retraining.evidence import Evidence, Measured
from pipeline.retraining.gates import decide

NUM = 2000
CHAMPION = Measured(
    frozen_scores=(50.0,) * NUM,
    newest_scores=(50.0,) * 1000,
    num_examples=NUM + 1000,
    metric="rouge",
    signature="words:a-z0-9",
    decoding_digest="d1",
    size_bytes=1000,
    milliseconds=(10.0, 12.0, 11.0),
    behaviour=Behaviour(length_ratio=1.0, repetition=0.02, copies=0.01, numbers=0.8, empties=0.0),
)
CANDIDATE = replace(CHAMPION, frozen_scores=(52.0,) * NUM, newest_scores=(52.0,) * 1000)
EVIDENCE = Evidence(
    candidate=CANDIDATE,
    champion=CHAMPION,
    slices={"long": (0, 1), "short": tuple(range(2, NUM))},
    num_frozen_uses=10,
    parity=1.0,
    recorded_score=50.0,
    days_since_promotion=3.0,
)
LABELS = replace(
    EVIDENCE,
    candidate=replace(CANDIDATE, behaviour=None),
    champion=replace(CHAMPION, behaviour=None),
    label_flips=0.05,
    parity=None,
)
SIDES = ("candidate", "champion")


def changed(evidence, name, value):
    """The evidence with one thing changed: `candidate.behaviour.copies`; a number in a tuple is its first one."""
    first, _, rest = name.partition(".")
    old = getattr(evidence, first)
    new = changed(old, rest, value) if rest else value
    if isinstance(old, tuple) and not isinstance(new, tuple):
        new = (new, *old[1:])
    return replace(evidence, **{first: new})


def failing(verdict):
    """Names of the gates that did not pass."""
    return [gate.name for gate in verdict.gates if not gate.passed]


# Gate, what is changed, the last value that passes, the first one that does not, settings, evidence.
ROWS = [
    ("frozen_set_is_fresh", "num_frozen_uses", 364, 365, {}, EVIDENCE),
    ("same_environment", "recorded_score", 50.1, 50.101, {}, EVIDENCE),
    ("same_environment", "recorded_score", 49.9, 49.899, {}, EVIDENCE),
    ("plausible_gain", "candidate.frozen_scores", (60.0,) * NUM, (60.001,) * NUM, {}, EVIDENCE),
    ("plausible_gain", "candidate.newest_scores", (60.0,) * 1000, (60.001,) * 1000, {}, EVIDENCE),
    ("frozen_quality", "candidate.frozen_scores", (50.0,) * NUM, (49.9,) * NUM, {}, EVIDENCE),
    ("newest_gain", "candidate.newest_scores", (50.4,) * 1000, (50.3,) * 1000, {}, EVIDENCE),
    ("newest_gain", "candidate.newest_scores", (51.4,) * 1000, (51.3,) * 1000, {"min_gain": 1.0}, EVIDENCE),
    ("slice:long", "candidate.frozen_scores", 42.0, 41.9, {}, EVIDENCE),
    ("minimum_quality", "candidate.frozen_scores", (60.0,) * NUM, (59.99,) * NUM, {"min_quality": 60.0}, EVIDENCE),
    ("bytes", "candidate.size_bytes", 1050, 1051, {}, EVIDENCE),
    ("bytes", "candidate.size_bytes", 1200, 1201, {"max_bytes": 1200}, EVIDENCE),
    ("milliseconds", "candidate.milliseconds", (15.0, 99.0, 12.0), (15.1, 99.0, 12.0), {}, EVIDENCE),
    ("length", "candidate.behaviour.length_ratio", 1.1, 1.101, {}, EVIDENCE),
    ("length", "candidate.behaviour.length_ratio", 0.9, 0.899, {}, EVIDENCE),
    ("repetition", "candidate.behaviour.repetition", 0.03, 0.0301, {}, EVIDENCE),
    ("copies", "candidate.behaviour.copies", 0.02, 0.0201, {}, EVIDENCE),
    ("numbers", "candidate.behaviour.numbers", 0.78, 0.7799, {}, EVIDENCE),
    ("empties", "candidate.behaviour.empties", 0.005, 0.0051, {}, EVIDENCE),
    ("label_flips", "label_flips", 0.1, 0.1001, {}, LABELS),
    ("parity", "parity", 0.9, 0.8999, {}, EVIDENCE),
]
ONE_OF_EACH = list({row[0]: row for row in ROWS}.values())


@pytest.mark.parametrize(("gate", "name", "passes", "fails", "told", "evidence"), ROWS)
def test_a_gate_passes_up_to_its_bound(gate, name, passes, fails, told, evidence):
    """Just beyond it that gate alone fails, with a sentence, and the candidate is not promoted."""
    gates = GatesConfig(**told)
    good = decide(changed(evidence, name, passes), gates)
    assert good.decision == Decision.PROMOTED and good.reasons == () and gate in [one.name for one in good.gates]
    bad = decide(changed(evidence, name, fails), gates)
    assert failing(bad) == [gate] and len(bad.reasons) == 1 and "allowed: at " in bad.reasons[0]
    assert bad.decision == (Decision.ANOMALOUS if gate == "plausible_gain" else Decision.KEPT)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("gate", "name", "evidence"), [(row[0], row[1], row[5]) for row in ROWS])
def test_what_is_no_finite_number_passes_no_gate(gate, name, evidence, bad):
    """Whether a better number would be larger or smaller; in a list one is enough."""
    verdict = decide(changed(evidence, name, bad), GatesConfig())
    found = next(one for one in verdict.gates if one.name == gate)
    assert not found.passed and found.measured is None and "no finite number" in found.sentence
    assert verdict.decision not in (Decision.PROMOTED, Decision.NO_CHANGE)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize(
    "name",
    [
        *(f"champion.{name}" for name in ("frozen_scores", "newest_scores", "size_bytes", "milliseconds")),
        *(f"champion.behaviour.{field.name}" for field in fields(Behaviour)),
        *(f"candidate.behaviour.{field.name}" for field in fields(Behaviour)),
        *(f"candidate.{name}" for name in ("frozen_scores", "newest_scores", "size_bytes", "milliseconds")),
        *("parity", "num_frozen_uses", "recorded_score"),
    ],
)
def test_impossible_numbers_on_either_side_promote_nothing(name, bad):
    """A bad champion must not make a candidate look good; percentages, shares and counts are not negative."""
    assert decide(changed(EVIDENCE, name, bad), GatesConfig()).decision in (Decision.KEPT, Decision.ANOMALOUS)


SINGLE = sorted({row[1] for row in ONE_OF_EACH if row[5] is EVIDENCE} - {"candidate.frozen_scores"})


@given(st.sampled_from(range(len(ONE_OF_EACH))), st.dictionaries(st.sampled_from(SINGLE), st.floats(), max_size=4))
def test_no_number_makes_another_gate_pass(number, others):
    """Whatever else is measured: a gate that fails still fails, and nothing is promoted."""
    gate, name, _, fails, told, evidence = ONE_OF_EACH[number]
    for other in sorted(set(others) - {name}):
        if evidence is EVIDENCE or "behaviour" not in other:
            evidence = changed(evidence, other, others[other])
    verdict = decide(changed(evidence, name, fails), GatesConfig(**told))
    assert gate in failing(verdict) and verdict.decision != Decision.PROMOTED


@pytest.mark.parametrize("row", [row for row in ROWS if not isinstance(row[2], tuple)], ids=lambda row: row[0])
@given(st.data())
@settings(max_examples=20)
def test_what_is_worse_never_passes_where_better_fails(row, data):
    """From the bound on in the direction in which a gate fails, every number fails."""
    gate, name, passes, fails, told, evidence = row
    values = st.floats(min_value=fails) if fails > passes else st.floats(max_value=fails)
    worse = changed(evidence, name, data.draw(values))
    assert gate in failing(decide(worse, GatesConfig(**told)))


@given(st.lists(st.floats(0, 100), min_size=30, max_size=40), st.floats(0, 100))
def test_lower_scores_never_pass_where_higher_ones_fail(scores, loss):
    """All scores of the candidate lowered alike, on both sets."""
    champion = replace(CHAMPION, frozen_scores=(50.0,) * len(scores), newest_scores=(50.0,) * len(scores))
    champion, loss = replace(champion, num_examples=2 * len(scores)), min(loss, *scores)
    lowered = tuple(score - loss for score in scores)
    candidates = [replace(champion, frozen_scores=each, newest_scores=each) for each in (tuple(scores), lowered)]
    gates = GatesConfig(margin=60.0, slice_margin=20.0, min_quality=40.0)
    found = [
        set(failing(decide(replace(EVIDENCE, candidate=one, champion=champion, slices={"a": (0, 1)}), gates)))
        for one in candidates
    ]
    assert found[0] - {"plausible_gain"} <= found[1]


@pytest.mark.parametrize(
    ("name", "value", "gate"),
    [
        ("candidate.frozen_scores", (52.0,) * (NUM - 1), "same_examples"),
        ("candidate.num_examples", NUM, "same_examples"),
        ("champion.newest_scores", (50.0,) * 999, "same_examples"),
        ("candidate.metric", "bleu", "same_metric"),
        ("champion.signature", "words:unicode", "same_signature"),
        ("candidate.decoding_digest", "d2", "same_decoding"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(name, value, gate):
    """The champion stays, whatever the scores say, and only the reason is told."""
    leaking = changed(changed(EVIDENCE, name, value), "parity", 0.0)
    verdict = decide(leaking, GatesConfig())
    assert verdict.decision == Decision.KEPT and failing(verdict) == [gate] and len(verdict.gates) == 4


def test_scores_that_are_missing_on_both_sides_are_missed():
    """The same number on both sides is not enough: each example that was asked for has a score."""
    both = replace(EVIDENCE, **{side: replace(getattr(EVIDENCE, side), num_examples=5) for side in SIDES})
    assert failing(decide(both, GatesConfig())) == ["same_examples"]


def test_all_reasons_are_told_at_once_in_the_order_of_the_gates():
    """Whatever order they came up in; a leak outweighs the others."""
    evidence = EVIDENCE
    for _, name, _, fails, told, like in reversed(ONE_OF_EACH):
        if like is EVIDENCE and not told and "scores" not in name:
            evidence = changed(evidence, name, fails)
    verdict = decide(evidence, GatesConfig())
    names = [gate.name for gate in decide(EVIDENCE, GatesConfig()).gates]
    assert [gate.name for gate in verdict.gates] == names and len(set(names)) == len(names)
    assert failing(verdict) == [name for name in names if name in failing(verdict)] and len(verdict.reasons) >= 9
    assert verdict.decision == Decision.KEPT
    leak = changed(evidence, "candidate.newest_scores", (90.0,) * 1000)
    assert decide(leak, GatesConfig()).decision == Decision.ANOMALOUS


def test_the_decision_is_pure():
    """The same evidence gives the same verdict and is not changed by it."""
    for evidence in (EVIDENCE, LABELS, changed(EVIDENCE, "parity", math.inf)):
        before = copy.deepcopy(evidence)
        assert decide(evidence, GatesConfig()) == decide(before, GatesConfig()) and evidence == before


@pytest.mark.parametrize("days", [31.0, math.nan, math.inf])
def test_a_champion_that_is_old_is_an_alarm_and_no_reason(days):
    """It neither promotes nor keeps; where there was no promotion yet nothing is old."""
    for evidence in (EVIDENCE, changed(EVIDENCE, "parity", 0.0), changed(EVIDENCE, "candidate.metric", "bleu")):
        fresh, old = (decide(changed(evidence, "days_since_promotion", each), GatesConfig()) for each in (30.0, days))
        assert fresh.alarms == () and len(old.alarms) == 1
        assert (old.decision, old.gates) == (fresh.decision, fresh.gates)
    assert decide(changed(EVIDENCE, "days_since_promotion", None), GatesConfig()).alarms == ()


@pytest.mark.parametrize(
    ("evidence", "names"),
    [
        (LABELS, {"length", "repetition", "copies", "numbers", "empties", "parity"}),
        (
            replace(EVIDENCE, parity=None, slices={}, recorded_score=None),
            {"parity", "slices", "same_environment", "label_flips"},
        ),
    ],
)
def test_gates_that_a_model_does_not_have_say_so(evidence, names):
    """They let it through with a sentence."""
    verdict = decide(evidence, GatesConfig())
    assert {gate.name for gate in verdict.gates if gate.sentence.startswith("Not asked")} == names
    assert verdict.decision == Decision.PROMOTED


@pytest.mark.parametrize(
    ("name", "value", "gates"),
    [
        ("candidate.behaviour", None, ["length", "repetition", "copies", "numbers", "empties", "label_flips"]),
        ("champion.behaviour", None, ["length", "repetition", "copies", "numbers", "empties"]),
        ("candidate.behaviour.numbers", None, ["numbers"]),
        ("champion.behaviour.length_ratio", None, ["length"]),
        ("candidate.milliseconds", (), ["milliseconds"]),
        ("champion.milliseconds", (10.0,), ["milliseconds"]),
        ("slices", {"a": (), "b": (NUM,), "c": (-1,), "d": (0,)}, ["slice:a", "slice:b", "slice:c"]),
    ],
)
def test_what_one_side_lacks_does_not_pass(name, value, gates):
    """Behaviour, rounds, slices of examples that are not there."""
    assert failing(decide(changed(EVIDENCE, name, value), GatesConfig())) == gates


def test_a_classifier_whose_labels_were_not_compared_is_not_promoted():
    """Nothing is known of its outputs then."""
    assert failing(decide(replace(LABELS, label_flips=None), GatesConfig())) == ["label_flips"]


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_is_a_chance(level):
    """A caller's mistake is no verdict."""
    with pytest.raises(ValueError, match="level"):
        decide(EVIDENCE, GatesConfig(), level)
