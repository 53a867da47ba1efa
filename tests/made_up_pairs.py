"""Made-up examples for the checks of data: two languages with letters of their own, names and numbers in both."""

import random

from pipeline.retraining.pairs import Pairs

SYLLABLES = ["ka", "lo", "mi", "ten", "ras", "du"], ["vex", "zî", "gub", "pho", "yăq", "we"]
NAMES = [f"{name}{number}" for name in ("Anna", "Bob", "Delhi", "Oslo") for number in range(25)]


def word(rng, language):
    return "".join(rng.choice(SYLLABLES[language]) for _ in range(rng.randint(1, 3)))


def translations(num, seed=0):
    """Sentences of 3 to 20 words, each word in the other language, a name in both."""
    rng, pairs = random.Random(seed), []
    meaning = {
        (language, n): word(random.Random(1000 * language + n), language) for language in (0, 1) for n in range(300)
    }
    for _ in range(num):
        words, name = [rng.randrange(300) for _ in range(rng.randint(3, 20))], rng.choice(NAMES)
        pairs.append([" ".join([name, *(meaning[language, n] for n in words)]) for language in (0, 1)])
    return Pairs(*map(list, zip(*pairs, strict=True)))


def labelled(num, seed=0):
    """Sentences with one of two labels, which has nothing to do with their length."""
    rng = random.Random(seed)
    return Pairs(translations(num, seed).sources, [rng.choice(["no", "yes"]) for _ in range(num)])


def moved(pairs, lines=1):
    """Targets that have slipped down by some lines; the last come first."""
    return Pairs(pairs.sources, [*pairs.targets[-lines:], *pairs.targets[:-lines]])


def joined(*all_pairs):
    """Several files as one."""
    return Pairs([s for pairs in all_pairs for s in pairs.sources], [t for pairs in all_pairs for t in pairs.targets])


def shuffled(pairs, seed=0):
    """The same pairs in another order."""
    return pairs.at(random.Random(seed).sample(range(len(pairs)), len(pairs)))
