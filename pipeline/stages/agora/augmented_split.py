"""The training split with what was added to it, as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets

from pipeline.augmentation.examples import TextExample
from pipeline.data.corpora import Corpus
from pipeline.data.tokenise import tokenise
from pipeline.stages.agora.plan import AgoraPlan, digest_of

TEXTS = ("source", "second", "target")


def augmented_split(plan: AgoraPlan, added: Sequence[TextExample]) -> Path:
    """The folder of tokens whose split `train` is the task's with these examples after it; made once.

    Args:
        plan: says which task.
        added: more examples; none: the task's own folder.
    """
    task = plan.job.task
    if not added:
        return Path(task.tokens_folder)
    train = task.split("train").examples
    kept = train.select_columns([name for name in TEXTS if name in train.column_names])
    columns = {name: [getattr(one, name) for one in added] for name in kept.column_names}
    both = datasets.concatenate_datasets([kept, datasets.Dataset.from_dict(columns, features=kept.features)])
    folder = plan.job.storage.cache / "tokens" / f"{Path(task.tokens_folder).name}-{digest_of(added)}"
    corpus = Corpus(splits={"train": both}, fingerprint=f"{task.fingerprint}-{digest_of(added)}")
    tokenise(corpus, plan.job.config.task, task.tokenizer(), folder, task.labels)
    return folder
