"""Values that nobody means, for settings, for files of settings and for cells and rows of data."""

from hypothesis import strategies as st

HUGE = "1" + "0" * 400
NUMBERS = ["0", "-0", "-1", "1", "1.5", "-1e-300", "1e308", "1e999", "-1e999", ".inf", "-.inf", ".nan", "nan", "0x10"]
NUMBERS += ["1_000", "010", "0b1", "0o7", "12:30", "1e3", "1e15", HUGE, "1" + "0" * 5000, "0x" + "f" * 4000]
NUMBERS += [str(2**power + step) for power in (31, 32, 53, 63, 64) for step in (-1, 0, 1)]
TEXTS = ["", " ", "~", "null", "no", "True", "-", "=", "a", "1-", "6-3", "8-8-8", "2001-99-99", "\t", "\ufeff", "\x07"]
TEXTS += [
    "١٢",
    "\uff11",
    "\u0455eed",
    "e\u0301",
    "\u202e",
    "\U0001f600",
    "\x85",
    "\u2028",
    "\x1b[31m",
    "\0",
    "\ud800",
    "\udcff",
]
TEXTS += ["/", "..", "../../etc/passwd", "/dev/zero", "~nobody", "C:\\", "x" * 300, "%s{}", "'", '"', "`", "line\nline"]
TAGS = ["!!bool x", "!!timestamp x", "!!int x", "!!float x", "!!binary '*'", "!!set {a}", "!!omap [a: 1]", "!foo 1"]
TAGS += [
    "!!python/name:os.system",
    "!!python/object/apply:os.system [id]",
    "! 1",
    "!<x> 1",
    "!!str 1",
    "!!pairs [a: 1]",
]
INTERPOLATIONS = ["${", "${}", "${seed}", "${seed", "${task}", "${.a}", "${..}", "${nothing:1}", "${task.name}"]
INTERPOLATIONS += ["${oc.env:ABSENT_VARIABLE}", "${oc.decode:'1'}", "${oc.create:{a: 1}}", "${storage}"]
NESTS = [
    "&a [*a]",
    "&a {a: *a}",
    "*a",
    "&a 1",
    "<<: 1",
    "{<<: [1]}",
    "{<<: {a: 1}}",
    "|",
    "> a",
    "? a",
    "---",
    "a\n---\nb",
]
NESTS += [
    "{",
    "[",
    "]",
    "{a",
    "{a: 1, a: 2}",
    "{? [1] : 2}",
    "{? {a: 1} : 2}",
    "{null: 1}",
    "{1: 2}",
    "{true: a}",
    "{010: a}",
]
NESTS += ["{2001-01-01: a}", "{'': a}", "- a", "a: b: c", "# a", "@", "%YAML 9.9\n--- 1", "[" * 40, "[" * 40 + "]" * 40]
NESTS += ["{a: " * 40 + "1" + "}" * 40, "[[1], {a: 1}, null]", "[" + "&a [1], " + "&b [*a], &a [*b], " * 20 + "]"]

SINGLE = st.sampled_from(NUMBERS + TEXTS + TAGS + INTERPOLATIONS + NESTS)
SINGLE |= st.integers().map(str) | st.floats().map(str) | st.text(max_size=9)
NAMES = st.sampled_from(
    ["a", "scheme", "depth", "label", "recipe", "name", "heads", "hidden", "train", "quantization", "1"]
)
SETTINGS = st.recursive(
    SINGLE,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(NAMES, inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{name}: {value}" for name, value in entries.items()) + "}"
        )
    ),
    max_leaves=4,
)
