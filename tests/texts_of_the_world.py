"""Texts in many scripts, and texts that are hardly any, for whoever rewrites texts."""

from hypothesis import strategies as st

from pipeline.augmentation.examples import TextExample

SINGLE = [
    "",
    " \n",
    "one",
    "😀",
    "👩‍👩‍👧 👍🏽 hi",
    "the cat sat on the mat, and the dog sat on the cat",
    "The same the same the same",
    "我用Python写程序。你呢?",
    "東京タワーへ行きました",
    "สวัสดีครับ ผมชื่อสมชาย",
    "မင်္ဂလာပါ",
    "مرحبا بالعالم كيف حالك اليوم",
    "שלום עולם",
    "नमस्ते दुनिया आप कैसे हैं",
    "안녕하세요 세계 여러분",
    "naïve café\u0301 — «quoted» text…",
    "line one\nline two\n\nline three",
    "a\0b c",
    "lots of words " * 3000,
    "one" * 5000,
]
PAIRS = [
    ("the cat sat on the mat", "the dog sat on the cat"),
    ("the cat ate on the mat", "is the dog there?"),
    ("我在这里", "你在哪里"),
    ("one", "two"),
    ("", "the cat is there"),
    ("the cat is there", ""),
    ("", ""),
]
EXAMPLES = [TextExample(source=text, target="yes") for text in SINGLE]
EXAMPLES += [TextExample(source=source, second=second, target="no") for source, second in PAIRS]
WORDS = st.text(alphabet="abcde .,我是กำ😀\u0301\u200d\n", max_size=20)
POINTS = st.lists(
    st.builds(lambda source, second: TextExample(source=source, second=second), WORDS, st.none() | WORDS), max_size=6
)
