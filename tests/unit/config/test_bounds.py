"""Every setting is held to numbers that libraries can count with, and to what can be planned."""

import pytest

from pipeline.config.bounds import LARGEST_COUNT, MOST_LISTED, check_bounds, check_combinations
from pipeline.config.errors import SHOWN_CHARACTERS, UserError
from pipeline.config.job import all_jobs, settings_of

SETTINGS = {key: setting for job in all_jobs() for key, setting in settings_of(job)}


@pytest.mark.parametrize("key", sorted(key for key in SETTINGS if key.endswith("_seconds")))
def test_whatever_is_waited_for_has_an_end(key):
    """Timers of the system take no number of seconds that is much larger."""
    assert SETTINGS[key].metadata["maximum"] is not None


@pytest.mark.parametrize(
    ("value", "low", "high", "allowed"),
    [
        (LARGEST_COUNT, None, None, None),
        (LARGEST_COUNT + 1, None, None, f"at most {LARGEST_COUNT}"),
        (LARGEST_COUNT + 1, 0, None, f"at least 0 and at most {LARGEST_COUNT}"),
        (LARGEST_COUNT + 1, None, 2**63, None),
        (-LARGEST_COUNT - 1, None, None, f"at least -{LARGEST_COUNT}"),
        ([0, LARGEST_COUNT + 1], None, None, f"at most {LARGEST_COUNT}"),
        ({"a": {"b": [LARGEST_COUNT + 1]}}, None, None, f"at most {LARGEST_COUNT}"),
        (-1, 0, None, "at least 0"),
        (1e300, None, None, None),
        ([1.0, float("nan")], None, None, "finite numbers"),
        (True, 2, None, None),
    ],
)
def test_a_number_is_refused_wherever_it_stands(value, low, high, allowed):
    """With the bound that is broken: those of the rule are told to nobody who does not meet them."""
    try:
        check_bounds(value, low, high, "key")
        assert allowed is None
    except UserError as error:
        assert error.allowed == allowed


def test_combinations_are_counted_before_they_are_made():
    """An axis without a value counts as one."""
    check_combinations("key", [MOST_LISTED, 0, 1])
    with pytest.raises(UserError, match="key: 10,100 combinations"):
        check_combinations("key", [MOST_LISTED // 100, 101])


def test_a_message_shows_the_ends_of_what_is_long():
    """And what a terminal would not print, as it is written in Python."""
    error = UserError(f"a\x1b\ud800\0{'x' * 10**6}z", "b", "c")
    said, _, rest = str(error).partition(" Allowed: ")
    assert said.startswith(r"a\x1b\ud800\x00xx") and said.endswith("xz.") and rest == "b. Change: c."
    assert len(said) <= SHOWN_CHARACTERS + 1 and "(1,000,016 characters)" in said
    assert str(UserError(error.given, "b", "c")) == str(error)
