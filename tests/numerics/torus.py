"""The toy of Agora's author: points on a torus, two classes that wind around it, a training set that leaves out a part.

A learner of points, a labeller that is right as often as one likes, and ways to choose what is added; every way adds
the same number of points a round, and every candidate takes the same steps. `torus_picture.py` draws what comes out.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from pipeline.augmentation.agora import AgoraSettings, agora

BIG, SMALL = 2.0, 1.0  # radii
TRAINED_PART = 5 / 8  # of the big angle; of the rest the training set knows nothing
NUM_TRAIN, NUM_DEV, NUM_TEST = 200, 200, 4000
NUM_ADDED = 50  # points a round
SPREAD = 0.15  # radians, standard deviation of a new point's angles from those of its mistake
LEARNING_RATES = (0.02, 0.01)  # Theta
STEPS, HIDDEN = 100, 32
EXACT, TWO_IN_THREE = 1.0, 2 / 3


@dataclass(frozen=True)
class Point:
    """A point by its angles, and the class that it is said to be of; none: nobody has said."""

    big: float
    small: float
    label: int | None = None

    @property
    def truth(self):
        """Its class: two bands, each of which winds three times around the tube on its way around the torus."""
        return int(math.sin(self.small + 3 * self.big) > 0)


def random_of(*numbers):
    """A random stream known by numbers."""
    return torch.Generator().manual_seed(hash(numbers) % 2**31)


def drawn(random, num, part=1.0):
    """Points anywhere on a part of the torus, with their classes."""
    angles = (torch.rand(num, 2, generator=random) * 2 * math.pi * torch.tensor([part, 1.0])).tolist()
    return [replace(point, label=point.truth) for point in (Point(big, small) for big, small in angles)]


def tensors_of(points):
    """Places in space, (points, 3), and labels."""
    big, small = torch.tensor([(point.big, point.small) for point in points]).unbind(1)
    radius = BIG + SMALL * small.cos()
    places = torch.stack([radius * big.cos(), radius * big.sin(), SMALL * small.sin()], dim=1)
    return places, torch.tensor([point.label for point in points])


class Candidates:
    """Small networks that learn from the training set and what was added: see `agora.Learner`.

    `tested` are the accuracies of every round's best on points that nobody learns from. What is added in a round, and
    by which seed, is asked of it.
    """

    def __init__(self, seed, num_added=NUM_ADDED):
        random = random_of(seed, 0)
        self.seed, self.num_added, self.tested = seed, num_added, []
        self.train, self.dev = drawn(random, NUM_TRAIN, TRAINED_PART), drawn(random, NUM_DEV)
        self.test = drawn(random, NUM_TEST)

    def fit(self, round_number, thetas, added):
        self.models = {theta: self._trained(theta, [*self.train, *added]) for theta in thetas}
        accuracies = [1 - sum(wrong(self.models[theta], self.dev)) / NUM_DEV for theta in thetas]
        best = thetas[accuracies.index(max(accuracies))]
        self.tested.append(1 - sum(wrong(self.models[best], self.test)) / NUM_TEST)
        return accuracies

    def mistakes(self, round_number, theta):
        return [
            point for point, is_wrong in zip(self.dev, wrong(self.models[theta], self.dev), strict=True) if is_wrong
        ]

    def _trained(self, theta, points):
        places, labels = tensors_of(points)
        with torch.random.fork_rng():
            torch.manual_seed(100 * self.seed + theta)
            layers = [nn.Linear(3, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)]
        model = nn.Sequential(*layers)
        optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATES[theta], fused=True)
        for _ in range(STEPS):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(places), labels).backward()
            optimiser.step()
        return model


def wrong(model, points):
    """Of which points a model says another label."""
    places, labels = tensors_of(points)
    with torch.inference_mode():
        return (model(places).argmax(1) != labels).tolist()


class Labeller:
    """Right so often; who brings a label keeps it."""

    def __init__(self, probability, seed):
        self.probability, self.seed = probability, seed

    def __call__(self, round_number, points):
        told = torch.rand(len(points), generator=random_of(self.seed, round_number, 1)) < self.probability
        return [
            replace(point, label=point.truth if right else 1 - point.truth) if point.label is None else point
            for point, right in zip(points, told.tolist(), strict=True)
        ]


def near_mistakes(learner):
    """Agora: new points near the mistakes."""

    def generate(round_number, points):
        near = cycled(points, learner.num_added)
        moves = torch.randn(len(near), 2, generator=random_of(learner.seed, round_number, 2)) * SPREAD
        return [
            Point(point.big + big, point.small + small)
            for point, (big, small) in zip(near, moves.tolist(), strict=True)
        ]

    return generate


def anywhere(learner):
    """New points anywhere on the torus."""

    def generate(round_number, points):
        points = drawn(random_of(learner.seed, round_number, 2), learner.num_added)
        return [replace(point, label=None) for point in points]

    return generate


def mistakes_repeated(learner):
    """The mistakes themselves, with their labels."""
    return lambda round_number, points: cycled(points, learner.num_added)


def development_set(learner):
    """The development set, with its labels, a part a round; then again from its beginning."""
    return lambda round_number, points: cycled(learner.dev, learner.num_added, learner.num_added * (round_number - 1))


def cycled(points, num, start=0):
    """So many points, from one of them on; after the last comes the first again."""
    return [points[number % len(points)] for number in range(start, start + num)]


WAYS = (near_mistakes, anywhere, mistakes_repeated, development_set)


def play(seed, way, probability=EXACT, *, num_rounds=5, num_added=NUM_ADDED, rule="keep_all"):
    """The loop with one way to choose what is added.

    Returns:
        the result, and the accuracy of every round's best on the test set.
    """
    learner = Candidates(seed, num_added)
    result = agora(
        learner,
        Labeller(probability, seed),
        way(learner),
        num_thetas=len(LEARNING_RATES),
        settings=AgoraSettings(max_rounds=num_rounds, max_added=num_rounds * num_added, rule=rule),
    )
    return result, learner.tested
