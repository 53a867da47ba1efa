"""Real data sets load by path; where the folder with them is absent, that is said."""

from pathlib import Path

import pytest

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.data.corpora import load_corpus

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROWS = {
    "acl_titles": (10472, 582, 597),
    "scitldr_a": (1992, 619, 618),
    "tatoeba_en_ro": (12846, 616, 681),  # several translations of a sentence are its references
    "dolly_qa": (9391, 494, 515),
    "boolq_part": (2817, 745, 746),
    "fever_part": (6041, 3029, 3013),
}


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
@pytest.mark.parametrize("name", ROWS)
def test_a_data_set_in_a_folder_is_a_task(name, tmp_path):
    """`task=<name> data.root=<folder>` reads every row of every split."""
    config = load_config(SweepJob, [f"task={name}", f"data.root={SHARED}"])
    corpus = load_corpus(config.task, config.data.root, tmp_path)
    assert tuple(len(corpus.splits[split]) for split in ("train", "validation", "test")) == ROWS[name]
    assert all(corpus.splits["test"][0][column] for column in ("source", "target"))
