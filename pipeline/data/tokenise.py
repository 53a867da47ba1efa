"""Tokenizers, and text turned into token ids once for all workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
from tokenizers import ByteLevelBPETokenizer, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pipeline.config.errors import UserError, sentence_of
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.batch import IGNORED_LABEL
from pipeline.data.corpora import Corpus
from pipeline.data.hub import expect_hub
from pipeline.data.languages import set_languages, target_ids
from pipeline.data.lengths import Lengths
from pipeline.data.limits import cut_row
from pipeline.data.noise import Noise, noise_of
from pipeline.data.pack import packed
from pipeline.data.pretrained import read_tokenizer
from pipeline.storage.leftovers import hidden_prefix
from pipeline.storage.sealed import DamagedFileError, check_folder, is_whole, put_aside, sealed_folder

# BART's special tokens at BART's ids.
SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
MASK_TOKEN = "<mask>"
NUMBERS_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class TokenisedSplit:
    """One split as token ids: columns `input_ids`, `labels`, their lengths, and the texts of `columns.examples_of`.

    `source_tokens` and `target_tokens` are what models get; `uncut_source_tokens` and `uncut_target_tokens` what was
    given. The label of a classification task is one token, its number; pairs may have `token_type_ids`.
    """

    examples: datasets.Dataset
    num_cut_sources: int
    num_cut_targets: int

    def lengths(self) -> Lengths:
        """(source, target) tokens of every example."""
        return Lengths(*(numbers_of(self.examples, name) for name in ("source_tokens", "target_tokens")))


def load_tokenizer(model: ModelConfig) -> PreTrainedTokenizerBase | None:
    """The tokenizer that the model names, or None where one is to be trained.

    Raises:
        UserError: no tokenizer can be read there.
    """
    name = model.tokenizer or model.pretrained
    if not name:
        return None
    expect_hub(name)
    try:
        return saved_tokenizer(name)
    except UserError:
        raise
    except Exception as error:  # hub errors, missing files, broken JSON
        raise UserError(
            f"no tokenizer at '{name}': {str(error).strip().splitlines()[0]}",
            "a folder made by save_pretrained or a reachable hub name",
            "set model.tokenizer or model.pretrained",
        ) from error


def saved_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer of a folder, whose seal is checked if it has one, or of the hub.

    Raises:
        DamagedFileError: its files are not what was written.
    """
    check_folder(Path(name))
    return read_tokenizer(name)


def train_tokenizer(texts: Any, vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in BART's format.

    Args:
        texts: iterable of training texts.
        vocab_size: number of tokens, special ones included.
    """
    bpe = ByteLevelBPETokenizer(add_prefix_space=True)
    tokens = [*SPECIAL_TOKENS.values(), MASK_TOKEN]
    bpe.train_from_iterator(texts, vocab_size=vocab_size, special_tokens=tokens, show_progress=False)
    start, end = SPECIAL_TOKENS["bos_token"], SPECIAL_TOKENS["eos_token"]
    post = processors.RobertaProcessing(
        (end, bpe.token_to_id(end)), (start, bpe.token_to_id(start)), trim_offsets=False, add_prefix_space=True
    )
    bpe._tokenizer.post_processor = post
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, mask_token=MASK_TOKEN, **SPECIAL_TOKENS)


def tokenise(
    corpus: Corpus, task: TaskConfig, tokenizer: PreTrainedTokenizerBase, folder: Path, labels: Sequence[str] = ()
) -> dict[str, TokenisedSplit]:
    """Token ids of every split, written to `folder` once and memory-mapped afterwards; damaged ones are made again.

    Args:
        corpus: the examples.
        task: limits, prefix and objective, which may take the source itself as its target.
        tokenizer: the model's tokenizer.
        folder: where the result lies; named by whoever knows the fingerprint.
        labels: of a classification task.
    """
    settings = {"tokenizer": tokenizer, "task": task, "labels": labels}
    splits = {}
    for name, split in corpus.splits.items():
        if (found := _found(folder, name)) is None:
            datasets.disable_progress_bars()
            folder.mkdir(parents=True, exist_ok=True)
            # In the scratch folder the library puts a copy first.
            scratches = TemporaryDirectory(dir=folder, prefix=hidden_prefix("map"))
            with sealed_folder(folder / name) as partial, scratches as scratch:
                if task.packed:
                    rows = packed(split, task, tokenizer, Path(scratch))
                else:
                    options = {"fn_kwargs": settings, "cache_file_name": f"{scratch}/tokens.arrow"}
                    rows = split.map(_token_ids, batched=True, **options)
                rows.save_to_disk(str(partial))
            found = load_tokenised(folder, name)
        splits[name] = found
    return splits


def _found(folder: Path, split: str) -> TokenisedSplit | None:
    """A split that is there and whole; a damaged one is set aside."""
    otherwise = "its token ids are made again"
    if not is_whole(path := folder / split, otherwise):
        return None
    try:
        return load_tokenised(folder, split)
    except Exception as error:  # of an earlier version, which was sealed as it is: nothing but the library can tell
        put_aside(DamagedFileError(path, "token ids", f"{type(error).__name__}: {sentence_of(error)}"), path, otherwise)
        return None


def load_tokenised(folder: Path, split: str) -> TokenisedSplit:
    """One split written by `tokenise`.

    Raises:
        DamagedFileError: its files are not what was written.
    """
    check_folder(folder / split)
    examples = datasets.load_from_disk(str(folder / split))
    return TokenisedSplit(
        examples=examples.remove_columns(["source_cut", "target_cut"]),
        num_cut_sources=sum(numbers_of(examples, "source_cut")),
        num_cut_targets=sum(numbers_of(examples, "target_cut")),
    )


def numbers_of(examples: datasets.Dataset, column: str) -> Iterator[int]:
    """A column of numbers, row by row; no more than some rows are in memory."""
    for batch in examples.select_columns([column]).iter(batch_size=NUMBERS_AT_ONCE):
        yield from batch[column]


def with_targets(
    examples: datasets.Dataset, targets: list[str], tokenizer: PreTrainedTokenizerBase, task: TaskConfig
) -> datasets.Dataset:
    """Tokenised examples with other targets; the texts of the references stay beside them."""
    set_languages(tokenizer, task)
    labels, cut = _cut(target_ids(tokenizer, targets), task.max_target_tokens, tokenizer)
    kept = examples.remove_columns(["labels", "target_tokens"])
    columns = {"labels": labels, "target_tokens": [len(ids) for ids in labels], "target_cut": cut}
    columns["source_cut"] = [False] * len(labels)  # counted where the sources were cut
    for name, values in columns.items():
        kept = kept.add_column(name, values)
    return kept


def tokenised_sources(
    sources: list[str], second: list[str] | None, tokenizer: PreTrainedTokenizerBase, task: TaskConfig
) -> datasets.Dataset:
    """Texts to be answered, as `tokenise` makes them of a split's sources; their labels are still unknown.

    Args:
        sources: the texts.
        second: the second text of every pair, if they are pairs.
        tokenizer: the model's tokenizer.
        task: prefix, languages and limit.
    """
    columns = _source_ids(sources, second, tokenizer, task)
    return datasets.Dataset.from_dict({**columns, "labels": [[IGNORED_LABEL]] * len(sources)})


def _source_ids(
    sources: list[str], second: list[str] | None, tokenizer: PreTrainedTokenizerBase, task: TaskConfig
) -> dict[str, list[Any]]:
    set_languages(tokenizer, task)
    texts = [task.source_prefix + text for text in sources]
    columns: dict[str, list[Any]]
    if second is not None:
        columns = _pair_ids(texts, second, task.max_source_tokens, tokenizer)
    else:
        whole = tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        ids, cut = _cut(whole, task.max_source_tokens, tokenizer)
        columns = {"input_ids": ids, "source_cut": cut, "uncut_source_tokens": [len(row) for row in whole]}
    return {**columns, "source_tokens": [len(ids) for ids in columns["input_ids"]]}


def _token_ids(
    rows: dict[str, list[str]], tokenizer: PreTrainedTokenizerBase, task: TaskConfig, labels: Sequence[str]
) -> dict[str, list[Any]]:
    columns = _source_ids(rows["source"], rows.get("second"), tokenizer, task)
    if (noise := noise_of(task.noise, tokenizer)) is not None:
        assert task.facts.target_is_source
        return {**columns, **_noised_targets(columns["input_ids"], noise)}
    names = rows["target"]
    whole = [[labels.index(name)] for name in names] if task.facts.has_labels else target_ids(tokenizer, names)
    target, target_cut = _cut(whole, task.max_target_tokens, tokenizer)
    columns |= {"labels": target, "target_cut": target_cut, "uncut_target_tokens": [len(row) for row in whole]}
    return {**columns, "target_tokens": [len(ids) for ids in target]}


def _noised_targets(ids: list[list[int]], noise: Noise) -> dict[str, list[Any]]:
    """Of sources that are their own targets; what they lose to the limit is counted with the sources."""
    lengths = list(map(noise.num_targets, ids, ids))
    return {
        "labels": ids,
        "target_cut": [False] * len(ids),
        "uncut_target_tokens": lengths,
        "target_tokens": lengths,
    }


def _pair_ids(
    first: list[str], second: list[str], limit: int, tokenizer: PreTrainedTokenizerBase
) -> dict[str, list[Any]]:
    """Pairs as one sequence; of a pair that is too long, the longer text loses its end."""
    whole = tokenizer(first, second, truncation=False, verbose=False)["input_ids"]
    pairs = tokenizer(first, second, truncation="longest_first", max_length=limit, verbose=False)
    if (longest := max(map(len, pairs["input_ids"]))) > limit:
        raise UserError(
            f"task.max_source_tokens={limit} for pairs of texts",
            f"at least {longest}, so that something is left of both",
            "set task.max_source_tokens",
        )
    lengths = [len(ids) for ids in whole]
    cut = [length > limit for length in lengths]
    columns = {"input_ids": pairs["input_ids"], "source_cut": cut, "uncut_source_tokens": lengths}
    return columns | {name: pairs[name] for name in ("token_type_ids",) if name in pairs}


def _cut(whole: list[list[int]], limit: int, tokenizer: PreTrainedTokenizerBase) -> tuple[list[list[int]], list[bool]]:
    """Token ids, at most `limit` of them, and whether each was cut; special tokens at the end stay."""
    special = set(tokenizer.all_special_ids)
    return [cut_row(row, limit, special) for row in whole], [len(row) > limit for row in whole]
