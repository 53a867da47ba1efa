"""Tasks on published data read folders in the form in which those data sets lie, every row of every split."""

import json

import pytest

from pipeline.config.load import load_config
from pipeline.data.corpora import load_corpus

TEXTS = [{"source": f"a long text {n}", "target": f"text {n}", "id": f"Q{n}"} for n in range(6)]
PAIRS = [{"text_a": f"claim {n}", "text_b": "what is known", "id": str(n)} for n in range(6)]


def labelled(*labels):
    """Pairs with labels in turn, for three splits."""
    rows = [{**row, "label": labels[n % 2]} for n, row in enumerate(PAIRS)]
    return rows, rows[:2], rows[:3]


# Task -> rows of its training, validation and test split, and what the first test example is.
FOLDERS = {
    "acl_titles": (TEXTS, TEXTS[:2], TEXTS[2:5], {"source": "a long text 2", "target": "text 2"}),
    "scitldr_a": (
        *(TEXTS, TEXTS[:2], [{**row, "refs": [row["target"], "another"]} for row in TEXTS[2:5]]),
        {"source": "a long text 2", "target": "text 2", "references": ["text 2", "another"]},
    ),
    "tatoeba_en_ro": (
        *(TEXTS, TEXTS[:2], [{"source": "Hi.", "target": "Salut!"}, {"source": "Hi.", "target": "Bună!"}, *TEXTS[2:4]]),
        {"source": "Hi.", "target": "Salut!", "references": ["Salut!", "Bună!"]},
    ),
    "dolly_qa": (TEXTS, TEXTS[:2], TEXTS[2:5], {"source": "a long text 2", "target": "text 2"}),
    "boolq_part": (*labelled("True", "False"), {"source": "claim 0", "second": "what is known", "target": "True"}),
    "fever_part": (*labelled("SUPPORTS", "REFUTES"), {"source": "claim 0", "target": "SUPPORTS"}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_published_data_set_in_a_folder_is_a_task(name, tmp_path):
    """`task=<name> data.root=<folder>` is all there is to say; several answers to a source are its references."""
    *splits, expected = FOLDERS[name]
    (tmp_path / name).mkdir()
    for split, rows in zip(("train", "validation", "test"), splits, strict=True):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / name / f"{split}.jsonl").write_text("\n".join(lines))
    config = load_config("dq_sweep", [f"task={name}", f"data.root={tmp_path}"])
    corpus = load_corpus(config.task, config.data.root, tmp_path / "cache")
    assert {split: len(rows) for split, rows in corpus.splits.items()} == {"train": 6, "validation": 2, "test": 3}
    assert corpus.splits["test"][0].items() >= expected.items(), corpus.splits["test"][0]
