"""Settings of tasks: examples, lengths, decoding, metric."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.objectives import MASKING, OBJECTIVES, WORD_MASKING, Objective
from pipeline.config.option import check_relations, option, relation

AUTO = "auto"
# How texts are cut into words before they are scored, by the task's metric; those of bleu are sacrebleu's.
METRIC_TOKENIZERS = {
    "rouge": (AUTO, "ascii", "unicode"),
    "bleu": (AUTO, "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores101", "flores200", "none"),
    "accuracy": (AUTO,),
}


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Where the examples of a task come from."""

    kind: str = option("docstrings", "origin of the examples", allowed=("docstrings", "files", "hub"))
    name: str = option("", "hub data set name (kind=hub), e.g. EdinburghNLP/xsum")
    subset: str | None = option(None, "hub configuration name (kind=hub), e.g. 3.0.0")
    files: dict[str, str] = option(
        dict,
        "split -> path (kind=files) of a file: .jsonl, .json, .csv, .tsv, .txt (an example a line), each also .gz or "
        ".xz, or .parquet; or of a folder of save_to_disk",
    )
    splits: dict[str, str] = option(
        dict, "train, validation, test -> the hub's name of that split where it differs, e.g. {validation: validation1}"
    )
    source_column: str = option("source", "column of the input text; dots reach into it, e.g. translation.en")
    second_column: str | None = option(
        None, "column of a second input text: the other one of a pair (classification), or put on a line of its own"
    )
    target_column: str = option(
        "target", "column of the reference text (of several in a list, the first is trained on), or of the label"
    )
    references_column: str | None = option(
        None, "column with a list of texts: references to score against beside the target, where a row has them"
    )
    group_references: bool = option(
        False, "validation, test: examples of the same source become one with several references"
    )
    max_train_examples: int | None = option(None, "keep at most this many training examples", minimum=1)
    max_validation_examples: int | None = option(None, "keep at most this many validation examples", minimum=1)
    max_test_examples: int | None = option(None, "keep at most this many test examples", minimum=1)


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How text is generated for evaluation."""

    num_beams: int = option(1, "beam width; 1 is greedy", minimum=1, maximum=64)
    min_length: int = option(0, "least tokens generated, as transformers counts it", minimum=0)
    max_length: int = option(32, "most tokens generated, start token included", minimum=2)
    length_penalty: float = option(1.0, "exponent of the length in beam scores", minimum=-10.0, maximum=10.0)
    early_stopping: bool = option(True, "beam search stops when num_beams texts are complete")
    no_repeat_ngram_size: int = option(0, "forbid repeating n-grams of this size; 0 allows", minimum=0)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """A task: examples, length limits, decoding."""

    name: str = option("docstrings", "name of the task; the file conf/task/<name>.yaml")
    objective: str = option(
        "supervised",
        "; ".join(f"{name}: {facts.meaning}" for name, facts in OBJECTIVES.items()),
        allowed=tuple(OBJECTIVES),
    )
    corpus: CorpusConfig = option(CorpusConfig, "origin of the examples")
    labels: list[str] = option(list, "classification: the labels in their order; empty: those of the training split")
    source_prefix: str = option("", "text put before every source")
    family_prefixes: dict[str, str] = option(
        dict, "model family -> its source_prefix where none is set, e.g. {t5: 'summarize: '}"
    )
    source_language: str | None = option(
        None, "language code of sources, e.g. en_XX; tokenizers without codes ignore it"
    )
    target_language: str | None = option(
        None, "language code of targets, e.g. ro_RO; tokenizers without codes ignore it"
    )
    masking: str = option(
        "tokens",
        "what is hidden of a text where tokens are masked: single tokens, or words with all their tokens",
        allowed=("tokens", "words"),
    )
    packed: bool = option(
        False,
        "join the texts of a split, a separator token between them, and cut where max_source_tokens are full; for "
        "objectives whose source is what is learned",
    )
    max_source_tokens: int = option(1024, "longer sources are cut (counted and logged)", minimum=2)
    max_target_tokens: int = option(128, "longer training targets are cut (counted and logged)", minimum=2)
    decoding: DecodingConfig = option(DecodingConfig, "generation settings for evaluation")
    metric: str = option(
        "rouge",
        "rouge (summaries, answers), bleu: BLEU and chrF (translation), accuracy: with macro F1 and MCC (labels)",
        allowed=("rouge", "bleu", "accuracy"),
    )
    metric_tokenizer: str = option(
        AUTO,
        "words that are scored; rouge: ascii (a-z, 0-9, as rouge-score) or unicode (all scripts, those without spaces "
        "by character); bleu: sacrebleu's, e.g. 13a, zh, char; auto: by target language or references",
        allowed=tuple(dict.fromkeys(name for names in METRIC_TOKENIZERS.values() for name in names)),
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @property
    def facts(self) -> Objective:
        """What its objective means for data, models and scores."""
        return OBJECTIVES[self.objective]

    @property
    def noise(self) -> str | None:
        """What examples go through, by its name in `data.noise`."""
        return WORD_MASKING if self.masking == "words" else self.facts.noise

    @relation("objective", "masking")
    def _words_are_masked(self) -> None:
        if self.masking == "words" and self.facts.noise != MASKING:
            raise UserError(
                f"task.masking=words with task.objective={self.objective}, which masks nothing",
                "tokens",
                "set task.masking=tokens, or choose another task",
            )

    @relation("objective", "packed")
    def _packed_texts_are_their_own_targets(self) -> None:
        if self.packed and not self.facts.target_is_source:
            raise UserError(
                f"task.packed=true with task.objective={self.objective}",
                "false: each of its texts has a target of its own",
                "set task.packed=false, or choose another task",
            )

    @relation("objective", "metric")
    def _metric_measures_objective(self) -> None:
        if self.metric not in self.facts.metrics:
            raise UserError(
                f"task.objective={self.objective} with task.metric={self.metric}",
                f"{' or '.join(self.facts.metrics)} for {self.objective}",
                "set task.metric, or choose another task",
            )

    @relation("metric", "metric_tokenizer")
    def _tokenizer_belongs_to_metric(self) -> None:
        if self.metric_tokenizer not in METRIC_TOKENIZERS[self.metric]:
            raise UserError(
                f"task.metric_tokenizer={self.metric_tokenizer} with task.metric={self.metric}",
                f"one of {', '.join(METRIC_TOKENIZERS[self.metric])}",
                "set task.metric_tokenizer",
            )

    @relation("labels")
    def _labels_are_distinct(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) == 1:
            raise UserError(f"task.labels={self.labels}", "at least two, each once", "set task.labels")

    @relation("labels", "objective")
    def _labels_are_read(self) -> None:
        if self.labels and not self.facts.has_labels:
            raise UserError(f"task.labels with task.objective={self.objective}", "none", "remove task.labels")

    @relation("objective", "corpus")
    def _one_label_an_example(self) -> None:
        corpus = self.corpus
        if self.facts.has_labels and (corpus.group_references or corpus.references_column):
            raise UserError(
                f"several references with task.objective={self.objective}",
                "one label an example",
                "set task.corpus.group_references=false and references_column=null",
            )

    @relation("objective", "corpus")
    def _columns_are_distinct(self) -> None:
        """No column twice: a source that is the target would hold the answer, unless the source is what is learned."""
        corpus, seen = self.corpus, dict[str, str]()
        options = ("source_column", "target_column", "second_column", "references_column")
        for option_name in options:
            path = getattr(corpus, option_name)
            if path is None:
                continue
            if path in seen and not (self.facts.target_is_source and option_name == "target_column"):
                unset = f", or {option_name}=null" if option_name in ("second_column", "references_column") else ""
                raise UserError(
                    f"task.corpus.{option_name}={path}, which is task.corpus.{seen[path]} already",
                    "a column of its own for every one of them",
                    f"set task.corpus.{option_name} to another column{unset}",
                )
            seen[path] = option_name
