"""Draws Agora's toy and prints its tables in Markdown.

usage: python tests/numerics/torus_picture.py

It writes pipeline/augmentation/torus.svg; on the same machine the same file.
"""

import re
from io import StringIO
from pathlib import Path
from statistics import mean, stdev

import matplotlib
import torch
from matplotlib.figure import Figure
from torus import EXACT, NUM_ADDED, TRAINED_PART, TWO_IN_THREE, WAYS, Candidates, near_mistakes, play

from pipeline.console.tables import markdown_table

PICTURE = Path(__file__).parents[2] / "pipeline" / "augmentation" / "torus.svg"
SEEDS, NUM_ROUNDS = range(5), 5
MANY = 200  # points a round, in the second table
NAMES = {
    "near_mistakes": "near the mistakes (Agora)",
    "anywhere": "anywhere on the torus",
    "mistakes_repeated": "mistakes repeated",
    "development_set": "development set added",
}
COLOURS = {
    "near_mistakes": "#1f6feb",
    "anywhere": "#c2571a",
    "mistakes_repeated": "#2f8f5b",
    "development_set": "#8250df",
}
GREY = "#6b7078"
AROUND = (0.0, 2 * torch.pi)


def rows_of(way, probability, num_added):
    """Accuracies in percent, by seed and round: on the test set, on the development set.

    Who stops before the last round, as there are no mistakes, stays where he is.
    """
    runs = [play(seed, way, probability, num_rounds=NUM_ROUNDS, num_added=num_added) for seed in SEEDS]
    on_development = [[100 * max(one.accuracies) for one in result.rounds] for result, _ in runs]
    on_test = [[100 * one for one in tested] for _, tested in runs]
    return [
        [rounds + rounds[-1:] * (NUM_ROUNDS - len(rounds)) for rounds in rows] for rows in (on_test, on_development)
    ]


def figures(way, probability, num_added):
    """Mean and spread over the seeds on the test set, round by round, and what the development set said at the end."""
    on_test, on_development = rows_of(way, probability, num_added)
    columns = list(zip(*on_test, strict=True))
    return [mean(column) for column in columns], [stdev(column) for column in columns], on_development


def tables():
    """By points a round and labeller: way -> figures."""
    cases = [(EXACT, NUM_ADDED), (TWO_IN_THREE, NUM_ADDED), (EXACT, MANY), (TWO_IN_THREE, MANY)]
    return {case: {way.__name__: figures(way, *case) for way in WAYS} for case in cases}


def draw_torus(axes, seed=0):
    """The torus unrolled: what is known, and what the first round adds."""
    learner = Candidates(seed)
    generate = near_mistakes(learner)
    learner.fit(1, [0], [])
    mistakes = learner.mistakes(1, 0)
    for band in range(0, 8, 2):  # where the sine of the tube's angle and three times the other one is positive
        lines = [[(band + edge) * torch.pi - 3 * big for big in AROUND] for edge in (0, 1)]
        axes.fill_between(AROUND, *lines, color="#e6ebf2", linewidth=0)
    axes.set_xlim(*AROUND)
    axes.set_ylim(*AROUND)
    axes.axvline(TRAINED_PART * AROUND[1], color=GREY, linewidth=1, linestyle=":")
    for name, points, look in (
        ("training set", learner.train, {"color": GREY, "s": 4}),
        ("mistakes on the development set", mistakes, {"color": "#c93c37", "s": 22, "marker": "x"}),
        ("generated in the first round", generate(1, mistakes), {"color": COLOURS["near_mistakes"], "s": 8}),
    ):
        places = [(point.big % AROUND[1], point.small % AROUND[1]) for point in points]
        axes.scatter(*zip(*places, strict=True), label=name, **look)
    axes.set_xlabel("around the torus, radians")
    axes.set_ylabel("around the tube, radians")
    axes.set_title("The torus, unrolled; two classes", fontsize=10)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)


def draw_course(axes, title, found):
    """Accuracy on the test set by round, with its standard deviation over the seeds."""
    rounds = range(1, NUM_ROUNDS + 1)
    for name, (means, spreads, _) in found.items():
        axes.errorbar(rounds, means, yerr=spreads, color=COLOURS[name], label=NAMES[name], capsize=2, linewidth=1.4)
    start = next(iter(found.values()))[0][0]
    axes.axhline(start, color=GREY, linestyle=":", linewidth=1, label="no augmentation")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("round")
    axes.set_xticks(list(rounds))
    axes.set_ylim(72, 100)
    axes.grid(alpha=0.25)


def main():
    """Play everything, draw, print."""
    torch.set_num_threads(1)
    matplotlib.rcParams |= {"svg.hashsalt": "torus", "svg.fonttype": "none", "font.size": 9}
    found = tables()
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    torus, exact, bad = figure.subplots(1, 3)
    draw_torus(torus)
    draw_course(exact, "exact labeller", found[EXACT, NUM_ADDED])
    draw_course(bad, "labeller right two times in three", found[TWO_IN_THREE, NUM_ADDED])
    exact.set_ylabel(f"accuracy on the test set, %; {NUM_ADDED} points a round")
    figure.legend(*bad.get_legend_handles_labels(), fontsize=7, loc="outside lower right", ncols=5, frameon=False)
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    PICTURE.write_text(re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number.group()):.2f}", drawn.getvalue()))
    for (probability, num_added), ways in found.items():
        labeller = "exact labeller" if probability == EXACT else "labeller right two times in three"
        head = ["what is added", *(f"round {number}" for number in range(1, NUM_ROUNDS + 1)), "development set says"]
        lines = [
            [
                NAMES[name],
                *(f"{one:.1f} ± {spread:.1f}" for one, spread in zip(means, spreads, strict=True)),
                f"{mean(rounds[-1] for rounds in on_development):.1f}",
            ]
            for name, (means, spreads, on_development) in ways.items()
        ]
        print(f"\n{num_added} points a round, {labeller}:\n\n{markdown_table([head, *lines])}")


if __name__ == "__main__":
    main()
