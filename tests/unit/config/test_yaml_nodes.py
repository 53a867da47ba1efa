"""YAML of settings: bounded before anything is made of it."""

import pytest
import yaml

from pipeline.config.yaml_nodes import LONGEST_TEXT, MOST_LEVELS, MOST_VALUES, composed


@pytest.mark.parametrize(
    "text",
    ["", "# a", "a", "{a: 1}", "[1, [2]]", "!!str 1", "! 1", "a: &a [1]\nb: *a", "[" * MOST_LEVELS + "]" * MOST_LEVELS],
)
def test_what_people_write_is_read_like_the_library_reads_it(text):
    """With the same tags; up to the bounds."""
    node, same = composed(text), yaml.compose(text, Loader=yaml.SafeLoader)
    assert (node is None) == (same is None)
    assert node is None or yaml.serialize(node) == yaml.serialize(same)


ALIASES = "[" + "&a0 [1], " + ", ".join(f"&a{level} [*a{level - 1}]" for level in range(1, 40)) + "]"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 21 + "]" * 21, "more than 20 levels"),
        ("[" * 100_000, "more than 20 levels"),
        (ALIASES, "more than 20 levels"),
        ("&a [*a]", "holds itself"),
        ("a: &a {b: *a}", "holds itself"),
        ("[" + "a," * MOST_VALUES + "]", "more than 10,000 values"),
        ("a" * (LONGEST_TEXT + 1), "characters"),
        ("!!bool x", "the tag"),
        ("a: !!timestamp x", "the tag"),
        ("!!python/name:os.system", "the tag"),
        ("!!set {a}", "the tag"),
        ("*a", "undefined alias"),
    ],
    ids=lambda value: value[:20],
)
def test_what_nobody_means_is_refused_at_once(text, reason):
    """As unreadable YAML, whatever the library would raise."""
    with pytest.raises(yaml.YAMLError, match=reason):
        composed(text)
