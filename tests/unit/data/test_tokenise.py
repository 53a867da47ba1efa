"""Token ids that lie in the cache are those that were written there, or are made again."""

import datasets
import pytest
from damage import DAMAGES, damage

from pipeline.config.sections.task import TaskConfig
from pipeline.data.corpora import Corpus
from pipeline.data.tokenise import load_tokenised, tokenise
from pipeline.storage.sealed import SEAL, DamagedFileError

ROWS = {"source": ["read a file from disk", "raise an error"] * 20, "target": ["a file", "an error"] * 20}


@pytest.fixture
def make(tmp_path, tiny_tokenizer):
    """Puts the corpus into the cache, or finds it there: `make() -> (folder, columns of the split)`."""

    def call():
        corpus = Corpus(splits={"train": datasets.Dataset.from_dict(ROWS)}, fingerprint="f")
        split = tokenise(corpus, TaskConfig(name="t"), tiny_tokenizer, tmp_path / "tokens")["train"]
        return tmp_path / "tokens" / "train", split.examples.to_dict()

    return call


def test_what_is_whole_is_found(make, caplog, monkeypatch):
    """Without a word, and without being made again."""
    _, columns = make()
    monkeypatch.setattr(datasets.Dataset, "map", None)
    assert make()[1] == columns and not caplog.records


CASES = [*(("*.arrow", kind) for kind in DAMAGES), ("state.json", "flipped"), ("dataset_info.json", "cut")]


@pytest.mark.parametrize(("pattern", "kind"), CASES)
def test_damaged_token_ids_are_refused_by_workers_and_made_again_by_the_job(make, caplog, pattern, kind):
    """The job warns, and the damaged ones are kept beside."""
    folder, columns = make()
    damage(next(folder.glob(pattern)), kind)
    with pytest.raises(DamagedFileError):
        load_tokenised(folder.parent, "train")
    assert make()[1] == columns
    assert "its token ids are made again" in caplog.text and (folder.parent / "damaged-train").is_dir()


@pytest.mark.parametrize("damages", [True, False])
def test_what_an_earlier_version_made_is_used_unless_it_cannot_be_read(make, caplog, damages):
    """It has no seal; a cut file was a SystemError of the library."""
    folder, columns = make()
    (folder / SEAL).unlink()
    if damages:
        damage(next(folder.glob("*.arrow")), "cut")
    assert make()[1] == columns
    assert "an earlier version" in caplog.text and ("made again" in caplog.text) == damages
