"""Words of all scripts: equal texts score 100, English scores as the packages do, references alone decide."""

# ruff: noqa: RUF001
import json
import subprocess
import sys

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from pipeline.config.errors import UserError
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.evaluation import tokenizers
from pipeline.evaluation.comparison import compare_texts
from pipeline.evaluation.metrics import (
    bleu,
    measures_nothing,
    rouge_each,
    score_texts,
    signature,
    trivial_predictions,
)
from pipeline.evaluation.rouge_words import ROUGE_WORDS
from pipeline.evaluation.tokenizers import check_tokenizer, chosen_tokenizer, doubts, language_of

TEXTS = {
    "chinese": "今天天气很好。我们去公园散步\uff01",
    "traditional": "這是一個測試\uff0c請看。",
    "japanese": "データベースを更新する。東京タワーへ行く々",
    "thai": "ประเทศไทยมีอากาศร้อนมาก",
    "lao": "ສະບາຍດີ ປະເທດລາວ",
    "khmer": "ខ្ញុំស្រឡាញ់កម្ពុជា",
    "burmese": "မြန်မာစကားပြောတယ်",
    "tibetan": "བོད་སྐད་ཡིག་ཤེས།",
    "korean": "오늘은 날씨가 좋습니다",
    "russian": "Погода сегодня хорошая",
    "greek": "Ο καιρός είναι καλός ΣΉΜΕΡΑΣ",
    "arabic": "الطقسُ جميلٌ اليوم؟ نعم",
    "persian": "هوا خوب است می\u200cروم",
    "hebrew": "מזג האוויר יפה הַיּוֹם",
    "hindi": "आज मौसम अच्छा है। क्षत्रिय जाता है",
    "tamil": "இன்று வானிலை நன்றாக உள்ளது",
    "armenian": "Այսօր եղանակը լավ է։",
    "georgian": "დღეს კარგი ამინდია",
    "amharic": "ዛሬ የአየር ሁኔታ ጥሩ ነው።",
    "turkish": "İstanbul'da hava ÇOK güzel",
    "vietnamese": "Hôm nay trời đẹp",
    "digits": "१२३ ٤٥٦ 78",
    "wide": "\uff21\uff22\uff23 \uff11\uff12",
    "emoji": "😀👍🏽 👨\u200d👩\u200d👧 🇩🇪 ❤️",
    "mixed": "GPT-4模型 и мир naïve 100%",
    "rare": "𠀀𠀁 𐐷𐐯",
}
ROUGE = ("rouge1", "rougeL", "rougeLsum")


@pytest.mark.parametrize("script", TEXTS)
def test_equal_texts_score_100_in_every_script(script):
    """Alone, and in the company of English."""
    text = TEXTS[script]
    assert [score_texts("rouge", [text], [[text]])[name] for name in ROUGE] == [100] * 3
    texts = ["The cat sat on the mat.", text]
    assert all(scores[name] == 100 for scores in rouge_each(texts, [[text] for text in texts]) for name in ROUGE)
    assert score_texts("rouge", [""], [[text]])["rouge1"] == 0


@pytest.mark.parametrize(
    ("said", "reference", "shared"),
    [
        ("今天天气好", "今天天气坏", 4 / 5),
        ("लड़का जाता है", "लड़की जाता है", 2 / 3),  # a vowel sign makes another word, not two halves of one
        ("белая луна", "белая ночь", 1 / 2),
        ("นมดี", "นมดำ", 2 / 3.5),  # by letters with their signs
        ("cafe\u0301 noir", "caf\u00e9 noir", 1),
        ("THE RUNNING мир", "the runs мир", 1),  # English words keep their stems
        ("🙂🙃", "🙂🙂", 1 / 2),
        ("מזג", "מזג האוויר", 2 / 3),
    ],
)
def test_what_is_shared_is_what_is_scored(said, reference, shared):
    """F1 over words; over characters with their marks where there are no spaces."""
    assert rouge_each([said], [[reference]], "unicode")[0]["rouge1"] == pytest.approx(100 * shared)


@given(text=st.text(st.characters(max_codepoint=127)))
def test_ascii_texts_have_the_words_and_lines_of_the_package(text):
    """Whatever way is chosen, so that English scores are those of rouge-score's command line."""
    ours, theirs = ROUGE_WORDS["unicode"], ROUGE_WORDS["ascii"]
    assert ours.tokenizer.tokenize(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)
    assert ours.lines(text) == theirs.lines(text)


ENGLISH = ["“Don’t stop,” she said — it’s £5…", "The running dogs_barked at 3.5 °C.", "Plain words: x-ray (2×)."]


@pytest.mark.parametrize("tokenizer", ["auto", "ascii", "unicode"])
def test_english_scores_are_the_package_s_to_the_last_bit(tokenizer):
    """Typographic signs are no words in either way."""
    said = ["“Do not stop”, she says; it’s £5.", "A dog barked. It runs at 3.5°.", "plain words x ray"]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for text, reference, ours in zip(said, ENGLISH, rouge_each(said, [[t] for t in ENGLISH], tokenizer), strict=True):
        for name, score in scorer.score(reference, text).items():
            assert ours[name] == 100 * score.fmeasure > 0


def test_a_foreign_word_in_english_leaves_everything_as_the_package_has_it():
    """One in hundreds of letters; a language that lives on such letters, or a lost text, is read otherwise."""
    english = ["the quick brown fox jumps over the lazy dog"] * 30
    assert chosen_tokenizer("rouge", "auto", [*english, "a café there"]) == "ascii"
    assert chosen_tokenizer("rouge", "auto", [*english, "мир"]) == "unicode"
    assert chosen_tokenizer("rouge", "auto", ["Schöne Grüße aus München"]) == "unicode"
    assert chosen_tokenizer("rouge", "auto", ["Schöne Grüße aus München"], language="en") == "ascii"


def test_references_alone_choose_the_words():
    """Two systems are measured alike, whatever they say; the signature tells the ways apart, and has no other use."""
    foreign, english = [["мир"]], [["peace"]]
    assert rouge_each(["peace мир"], english)[0]["rouge1"] == 100  # the package sees one word
    assert rouge_each(["peace мир"], foreign)[0]["rouge1"] == pytest.approx(200 / 3)
    assert "words:a-z0-9" in signature("rouge", english)
    assert "words:unicode, cjk" in signature("rouge", foreign)
    assert signature("rouge", english, "unicode") == signature("rouge", foreign)
    [first, *_] = compare_texts("rouge", ["мир"], ["peace мир"], english, "unicode")
    assert (first.first, first.second) == (0, pytest.approx(200 / 3))


def test_sentences_end_in_every_script():
    """With or without a space behind, closing quotes included; numbers stay whole."""
    lines = ROUGE_WORDS["unicode"].lines
    assert lines("你好。他说「好\uff01」然后走了。真的\uff1f\uff01是").count("\n") == 4
    assert lines("他说「好\uff01」然后走了。是") == "他说「好\uff01」\n然后走了。\n是"
    assert lines("क्या? हाँ। चलो").split("\n") == ["क्या?", "हाँ।", "चलो"]
    assert lines("نعم؟ لا۔ ok").split("\n") == ["نعم؟", "لا۔", "ok"]
    assert lines("Mr. X paid 3.5. Why?") == "Mr.\nX paid 3.5.\nWhy?"


def test_lengths_and_the_baseline_mean_something_without_spaces():
    """Characters, punctuation with them; words where there are words."""
    scores = score_texts("rouge", ["我爱北京", "красный дом"], [["我很爱北京市。"], ["красный дом тут"]])
    assert scores["generated_words"] == 3
    assert scores["length_ratio"] == 6 / 9
    sources = ["我爱北京天安门\uff0c天安门上太阳升。", "один два три четыре пять"]
    assert trivial_predictions("rouge", sources, [["北京很好"], ["а б"]], []) == ["我爱北", "один два три"]


ZH = (["今天天气很好\uff0c我们去公园。", "猫坐在垫子上"], [["今天天气真好\uff0c我们去公园吧。"], ["猫坐在垫子上面"]])


@pytest.mark.parametrize("tokenizer", ["13a", "zh", "char", "intl", "auto"])
def test_bleu_is_what_sacrebleu_prints_with_that_tokenizer(tmp_path, tokenizer):
    """Chinese is cut as Chinese by itself; the signature is sacrebleu's own and says so."""
    said, references = ZH
    (tmp_path / "p.txt").write_text("".join(f"{text}\n" for text in said))
    (tmp_path / "r.txt").write_text("".join(f"{text}\n" for [text] in references))
    name = "zh" if tokenizer == "auto" else tokenizer
    words = ["-m", "sacrebleu", "r.txt", "-i", "p.txt", "-m", "bleu", "chrf", "-tok", name, "-w", "8"]
    out = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    bleu, chrf = json.loads(out)
    scores = score_texts("bleu", said, references, tokenizer=tokenizer)
    assert (scores["bleu"], scores["chrf"]) == pytest.approx((bleu["score"], chrf["score"]), abs=1e-7)
    assert f"|tok:{name}|" in signature("bleu", references, tokenizer)
    first, second = compare_texts("bleu", said, said, references, tokenizer)[:2]
    assert (first.first, second.second) == pytest.approx((bleu["score"], chrf["score"]), abs=1e-7)
    assert (scores["bleu"] > 50) == (name in ("zh", "char"))


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({"target_language": "zh_CN"}, "abc", "zh"),
        ({"target_language": "zho_Hant"}, "abc", "zh"),
        ({"target_language": "Simplified Chinese"}, "abc", "zh"),
        ({"target_language": "ja_XX"}, "abc", "ja-mecab"),
        ({"target_language": "ko_KR"}, "abc", "ko-mecab"),
        ({"target_language": "th_TH"}, "abc", "char"),
        ({"target_language": "ms_MY"}, "abc", "13a"),  # Malay in Malaysia, not Burmese
        ({"target_language": "ro_RO"}, "casă", "13a"),
        ({"corpus": CorpusConfig(target_column="translation.zh")}, "abc", "zh"),
        ({"corpus": CorpusConfig(target_column="th")}, "abc", "13a"),  # a name, not a path of languages
        ({}, "今天天气很好 GPT", "zh"),
        ({}, "これは日本語の文です", "ja-mecab"),
        ({}, "오늘은 날씨가", "ko-mecab"),
        ({}, "อากาศดี", "char"),
        ({}, "Погода хорошая", "13a"),
    ],
)
@pytest.mark.parametrize("installed", [True, False])
def test_bleu_s_tokenizer_follows_the_language_then_the_references(monkeypatch, settings, text, expected, installed):
    """Where the packages for Japanese and Korean are missing, characters are counted, and a person is told."""
    monkeypatch.setattr(tokenizers, "_installed", lambda name: installed)
    task = TaskConfig(metric="bleu", **settings)
    name = chosen_tokenizer("bleu", "auto", [text], language_of(task))
    replaced = "mecab" in expected and not installed
    assert name == ("char" if replaced else expected)
    assert [f"sacrebleu[{expected[:2]}]" in doubt for doubt in doubts(task, name, [text], language_of(task))] == [
        True
    ] * replaced


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("ja-mecab", "pip install 'sacrebleu[ja]'"), ("ko-mecab", "sacrebleu[ko]"), ("flores200", "put https://")],
)
def test_a_tokenizer_that_would_fail_or_download_is_refused(monkeypatch, tmp_path, name, remedy):
    """Before anything is done, with what to install."""
    monkeypatch.setattr(tokenizers, "_installed", lambda name: False)
    monkeypatch.setattr(tokenizers, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(UserError, match="metric_tokenizer") as error:
        check_tokenizer(TaskConfig(metric="bleu", metric_tokenizer=name))
    assert remedy in str(error.value)
    check_tokenizer(TaskConfig(metric="bleu"))


def test_every_tokenizer_that_a_setting_names_is_sacrebleu_s():
    """And none of another metric is taken."""
    for name in ("13a", "intl", "zh", "char", "none"):
        assert sacrebleu.BLEU(tokenize=name).get_signature is not None
    for metric, name in (("rouge", "zh"), ("bleu", "ascii")):
        with pytest.raises(UserError, match=f"metric_tokenizer={name} with task.metric={metric}"):
            TaskConfig(metric=metric, metric_tokenizer=name)


@pytest.mark.parametrize(
    ("metric", "tokenizer", "texts", "words"),
    [
        ("rouge", "ascii", ["мир", "дом"], ["the loss alone decides", "task.metric_tokenizer=unicode"]),
        ("rouge", "ascii", ["мир", *["peace and quiet"] * 3], ["1 of 4", "unicode counts them"]),
        ("rouge", "unicode", ["...", "—"], ["2 of 2 references hold no word"]),
        ("rouge", "unicode", ["мир"], []),
        ("bleu", "13a", ["今天天气很好"], ["100% of the letters"]),
        ("bleu", "zh", ["今天天气很好"], []),
        ("bleu", "13a", [" ", "pace"], ["1 of 2 references"]),
        ("bleu", "char", ["これは"], []),
    ],
)
def test_a_metric_that_cannot_measure_is_said_aloud(metric, tokenizer, texts, words):
    """What it does not see, and what would."""
    told = doubts(TaskConfig(metric=metric, metric_tokenizer=tokenizer), tokenizer, texts)
    assert len(told) == len(words)
    assert all(word in sentence for word, sentence in zip(words, told, strict=True))


@pytest.mark.parametrize(
    ("references", "tokenizer", "nothing"),
    [
        ([["三个字"], ["两个"]], "zh", True),
        ([["三个字"], ["一二三四"]], "zh", False),
        ([["three short words"], ["two"]], "13a", True),
        ([["two"], ["three short words."]], "13a", False),
    ],
)
def test_bleu_of_texts_below_four_words_measures_nothing(references, tokenizer, nothing):
    """Then even the references score 0, and somebody must be told."""
    perfect = [texts[0] for texts in references]
    assert measures_nothing("bleu", references, tokenizer) is nothing
    assert (bleu(perfect, references, tokenizer=tokenizer)["bleu"] == 0) is nothing
    assert not measures_nothing("rouge", references, "ascii")
