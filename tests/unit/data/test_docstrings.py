"""The embedded corpus: what is an example, and that no module crosses splits."""

import pytest

from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data import corpora, docstrings
from pipeline.data.corpora import load_corpus

# One module of each split, as the hash of its name has it.
SPLITS = {"pkg.mod0": "train", "pkg.mod3": "validation", "pkg.mod20": "test"}
BODY = "This body has more than the twelve words that an example needs to be kept in the corpus."


def function(name: str, summary: str, body: str = BODY) -> str:
    return f'def {name}():\n    """{summary}\n\n    {body}\n    """\n'


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """The corpus of a few files given as module -> text."""

    def make(files: dict[str, str]) -> dict[str, list[dict[str, str]]]:
        modules = []
        for module, text in files.items():
            path = tmp_path / f"{module}.py"
            path.write_text(text)
            modules.append((module, path))
        monkeypatch.setattr(docstrings, "_modules", lambda: iter(modules))
        return docstrings.docstring_examples()

    return make


def test_the_split_of_a_module_is_the_same_on_every_machine():
    """94 % train, 3 % validation, 3 % test, by a hash of its name."""
    assert {module: docstrings.split_of(module) for module in SPLITS} == SPLITS
    splits = [docstrings.split_of(f"package.module{i}") for i in range(4000)]
    assert 0.93 < splits.count("train") / 4000 < 0.95
    assert all(0.02 < splits.count(name) / 4000 < 0.04 for name in ("validation", "test"))


def test_no_module_crosses_splits_and_no_text_is_repeated(examples):
    """A summary or source that stands in two modules is kept once, so that nothing leaks from train to test."""
    files = {
        module: function("own", f"Return what is special about {module}.", f"{module} {BODY}")
        + function("copied", "Return what every module returns.", f"{module} says {BODY}")
        + function("same_source", f"Return something else about {module}.")
        for module in SPLITS
    }
    splits = examples(files)
    seen = [(split, row) for split, rows in splits.items() for row in rows]
    assert all(docstrings.split_of(row["id"].split(":")[0]) == split for split, row in seen)
    names = [row["id"].split(":")[1] for _, row in seen]
    assert (names.count("own"), names.count("copied"), names.count("same_source")) == (3, 1, 1)
    assert len({row["target"].lower() for _, row in seen}) == len(seen)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (function("f", "Return the\n    answer now."), ("f", f"f: {BODY}", "Return the answer now.")),
        (f'class C:\n    """Keep the answer.\n\n    {BODY}"""\n', ("C", f"c: {BODY}", "Keep the answer.")),
        (function("f", "Too short."), None),
        (function("f", "word " * 31), None),
        (function("f", ">>> answer of doctest"), None),
        (function("f", ":param x: the answer"), None),
        (function("f", "Return the answer now.", "Short body."), None),
        ("def f():\n    '''Return the answer now.'''\n", None),
        (function("f", "Return the answer now.") + "def (:\n", None),
        ('"""Module docstring, not an object.\n\n' + BODY + '"""\n', None),
        ("", None),
    ],
)
def test_an_example_is_a_documented_object_with_a_summary_and_a_body(tmp_path, text, expected):
    """Source = name and body, target = first paragraph, white space folded; broken files are passed over."""
    path = tmp_path / "module.py"
    path.write_text(text)
    assert docstrings._pairs(path) == ([] if expected is None else [expected])


def test_files_are_found_in_a_stable_order_without_tests_and_vendored_code(tmp_path, monkeypatch):
    """The standard library first, then the packages that are installed, by dotted name."""
    files = ["b.py", "a/c.py", "a/tests/t.py", "site-packages/x.py", "a/_vendor/v.py", "a/note.txt"]
    for name in [*(f"stdlib/{file}" for file in files), "lib/tinypackage/__init__.py", "lib/tinypackage/d.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setattr(docstrings, "PACKAGES", ("tinypackage", "no_such_package"))
    monkeypatch.setattr(docstrings.sysconfig, "get_paths", lambda *_: {"stdlib": str(tmp_path / "stdlib")})
    modules = list(docstrings._modules())
    assert [module for module, _ in modules] == ["a.c", "b", "tinypackage.__init__", "tinypackage.d"]
    assert all(path.is_file() for _, path in modules)


def test_the_corpus_is_parsed_once_and_cached_whole(examples, tmp_path, monkeypatch):
    """A second load reads the cache; the examples are those of the splits."""
    parsed = examples({module: function("f", f"Return all of {module}.", f"{module} {BODY}") for module in SPLITS})
    monkeypatch.setattr(corpora, "docstring_examples", lambda: parsed)
    task = TaskConfig(corpus=CorpusConfig(kind="docstrings"))
    first = load_corpus(task, "", tmp_path / "cache")
    monkeypatch.setattr(corpora, "docstring_examples", lambda: pytest.fail("parsed again"))
    second = load_corpus(task, "", tmp_path / "cache")
    assert first.fingerprint == second.fingerprint
    assert {split: rows["target"][:] for split, rows in second.splits.items()} == {
        split: [row["target"] for row in rows] for split, rows in parsed.items()
    }
    name = f"docstrings-{docstrings.installed_versions()}.json"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [name]
