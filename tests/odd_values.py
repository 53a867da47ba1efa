"""Values that nobody means, for settings, for files of configurations and for files of data."""

from hypothesis import strategies as st

NUMBERS = ["0", "-0", "-1", "1", "1.5", "-1e-300", "1e308", "1e999", "-1e999", ".inf", "-.inf", ".nan", "nan", "0x10"]
NUMBERS += ["1_000", "010", "0b1", "0o7", "12:30", "1e3", "2147483647", "2147483648", "4294967296", "1e15"]
NUMBERS += [str(2**power + step) for power in (53, 63, 64) for step in (-1, 0, 1)] + ["1" + "0" * 400, "1" + "0" * 5000]
WORDS = ["", " ", "~", "null", "no", "true", "True", "-", "=", "a", "1-", "6-3", "8-8-8", "2001-99-99", "\t", "\ufeff"]
WORDS += ["١٢", "１", "ѕeed", "e\u0301", "\u202e", "\U0001f600", "\x85", "\x07", "\x1b[31m", "\0", "\ud800", "\udcff"]
WORDS += [
    "/",
    "..",
    "../../etc/passwd",
    "/dev/zero",
    "~nobody",
    "C:\\",
    "x" * 300,
    "x" * 140_000,
    "%s{}",
    "'",
    '"',
    "`",
]
MARKS = [
    "!!bool x",
    "!!timestamp x",
    "!!int x",
    "!!float x",
    "!!binary '*'",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
]
MARKS += [
    "!!python/name:os.system",
    "!!python/object/apply:os.system [id]",
    "!foo 1",
    "!<x> 1",
    "! 1",
    "&a [*a]",
    "*a",
    "&a 1",
]
MARKS += ["${", "${}", "${seed}", "${seed", "${task}", "${oc.env:HOME}", "${oc.env:ABSENT_VARIABLE}", "${.a}", "${..}"]
MARKS += [
    "${oc.decode:'1'}",
    "${oc.create:{a: 1}}",
    "${nothing:1}",
    "${sweep.students}",
    "<<: 1",
    "{<<: [1]}",
    "|",
    "> a",
    "? a",
]
MARKS += [
    "---",
    "a\n---\nb",
    "%YAML 9.9\n--- 1",
    "{",
    "[",
    "]",
    "{a",
    "{a: 1, a: 2}",
    "{? [1] : 2}",
    "{? {a: 1} : 2}",
    "{null: 1}",
]
MARKS += [
    "{1: 2}",
    "{true: a}",
    "{010: a}",
    "{2001-01-01: a}",
    "{'': a}",
    "- a",
    "a: b: c",
    "# a",
    "@",
    "%",
    "[" * 40,
    "[" * 3000,
]
MARKS += ["[" * 40 + "]" * 40, "{a: " * 40 + "1" + "}" * 40, "[" + "a," * 20_000 + "]", "!!str 1"]

SCALARS = st.sampled_from(NUMBERS + WORDS + MARKS) | st.integers().map(str) | st.floats().map(str) | st.text(max_size=9)
