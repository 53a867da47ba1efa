"""Odd values as they stand in YAML, and odd words of a command line."""

SECRET = "DQ_FUZZ_SECRET"  # in the environment; nothing may print what it holds
NEST = 3000

# What YAML reads in a way of its own; numbers; references; types; interpolations; what settings could take for theirs.
LINES = r"""
null ~ true NO off [] {} 0 -1 1 2 3 64 010 0o17 0x1F 1_000 12:30 2005-04-17 1e3 1e-4 1e999 1e-320 .inf -.inf .nan
nan 1. .5 +1 0.5 1.5 -0.0 '' "a\0b" "\ud800" "\x41" ' ' [1, {a ] } ' " | >- % @ ` a: & * ! ? - # , :
*a ?a ??? [???] {a:???} {<<:1} {1:2} [null] [{}] [a,a] [0.5] [1] [-1] [8] [2,2,2] 6-3 2-2-8 bart bert auto
/etc/passwd /dev/null /nowhere . .. ~nobody/x // a/b $seed %(seed)s {{seed}} \${seed}
${ ${} ${a ${seed} ${task} ${.} ${..} ${${seed}} ${task.${task.name}} ${nobody:1}
${oc.env:NOBODY} ${oc.env:}
${oc.env:DQ_FUZZ_SECRET} x${oc.env:DQ_FUZZ_SECRET}y ${oc.decode:'[1,2]'} ${oc.select:seed} ${oc.dict.keys:task}
${oc.deprecated:seed} ${oc.create:[1]}
"""
WITH_BLANKS = r"""
a b
a: b: c
[1, [2, [3]]]
{<<: {a: 1}}
{<<: [*a]}
&a [*a]
&a {b: *a}
? a
? [a]
{[1]: 2}
{null: 1}
{1: 2}
{a: ???}
!!python/object/apply:os.system [exit]
!!binary aGk=
!!set {a, b}
!!omap [a: 1]
!!timestamp 2005
!!int a
!!float x
!!bool maybe
!!str 1
!!null x
!own 1
${oc.create:{a: 1}}
[{scheme: 8-8-8}]
[{scheme: 2-2-8, depth: 99-99}]
{scheme: 8-8-8}
[{recipe: {quantization: 1}, label: a}]
{train: a.jsonl}
{train: /dev/null}
"""
MADE = ("", "9" * 5000, "-" + "9" * 30, "1" + "0" * 400, str(2**31), str(2**63), str(2**64), "x" * 50_000, "é", "\t")
MADE += ("\n", "\ud800", "\udcff", "\0", "\x85", "\u2028", "\ufeff1", "\u202e", "a\nb: c", "- a\n- b")
MADE += ("[" * NEST, "[" * NEST + "]" * NEST, "{a: " * NEST + "1" + "}" * NEST)
ODD = (*LINES.split(), *WITH_BLANKS.strip().split("\n"), *MADE)
KEYS = ("", ".", "a.", ".a", "a..b", "seed.a", "task", "task.", "[", "[0]", "a[0]", "a[", "ü", "x" * 1000, "__class__")
KEYS += (
    "defaults",
    "defaults.task",
    "sweep.students[0]",
    "sweep.students.0",
    "sweep.students.0.scheme",
    "-x",
    "\ud800",
)
WORDS = (
    "",
    "=",
    "==",
    "=1",
    "a",
    "--",
    "--seed=1",
    "-h=1",
    "seed",
    "+seed=1",
    "~seed",
    "seed==1",
    "\ud800",
    "\0",
    "@x",
)
