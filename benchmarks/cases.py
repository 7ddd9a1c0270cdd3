"""Grid of the benchmarks: the cases that answer each question at each size.

`smallest` is for the tests, where nothing is timed. `short` takes minutes. `full` takes hours, and conclusions are
drawn from it. A case is a row of the question's table.
"""

import dataclasses
from dataclasses import dataclass

import jax

import vgrad_jax as vg
from benchmarks import SIZES
from vgrad_jax.sweeps.policy import WIDEST_IN_LANES

ARTICLE_EPOCHS = 500


@dataclass(frozen=True)
class Case:
    """One row of a table: a network, its number of seeds and epochs, and the number of rounds that time it."""

    name: str
    seeds: int = 32
    width: int = 5
    depth: int = 5
    epochs: int = 2
    rounds: int = 1
    batch_size: int = 32
    engines: tuple[str, ...] = ("plain", "lanes")

    def experiment(self, *, every: int | None = None, parameters_at: tuple[int, ...] = ()) -> vg.Experiment:
        """Return the article's tanh network with He initialisation, in this case's size.

        Args:
            every: epochs between records; None records only before the first and after the last epoch.
            parameters_at: epochs at which parameters are kept, as in `Recording`.
        """
        return dataclasses.replace(
            vg.presets.article()["tanh_he"],
            mlp=vg.MLP(hidden=(self.width,) * self.depth, output_init="uniform(0, 1)"),
            training=vg.Training(epochs=self.epochs, batch_size=self.batch_size),
            recording=vg.Recording(every=every or self.epochs, parameters_at=parameters_at),
        )


def cases(question: str, size: str) -> list[Case]:
    """Return the cases of a question, named as its script without `bench_`; a GPU may have a grid of its own."""
    level = SIZES.index(size)
    if jax.default_backend() == "cpu" or not level:
        return _QUESTIONS[question](level)
    return _ON_GPU.get(question, _QUESTIONS[question])(level)


def _train_step(level: int) -> list[Case]:
    epochs, rounds = (2, 200, 500)[level], (1, 2, 9)[level]
    if not level:
        return [Case("article", seeds=2, epochs=epochs, engines=("plain",))]
    article = Case("article", epochs=epochs, rounds=rounds)
    every_step = Case("article, one batch of all rows", batch_size=500, epochs=epochs, rounds=rounds)
    return [article, every_step]


def _seeds(level: int) -> list[Case]:
    if not level:
        return [Case("width 5", seeds=2, engines=("plain",))]
    epochs, rounds = (0, 100, 200)[level], (0, 2, 5)[level]
    many = (1, 32, 256) if level == 1 else (1, 16, 32, 64, 256, 1024, 4096, 16384, 65536)
    # Beyond 2000 seeds the speed is constant, and `plain` would take an hour to show it.
    grid = [
        Case(f"width 5, {n} seeds", seeds=n, epochs=epochs, rounds=rounds if n < 5_000 else 1, engines=engines)
        for n in many
        for engines in [("plain", "lanes") if n < 2_000 else ("lanes",)]
    ]
    for width in (16, 32, 64) if level == 1 else (16, 32, 64, 128):
        fewer = epochs // 5 if width > 32 else epochs // 2
        engines = ("plain", "lanes" if width <= WIDEST_IN_LANES else "nests")  # The choice of a sweep.
        grid.append(Case(f"width {width}", seeds=64, width=width, epochs=fewer, rounds=rounds, engines=engines))
    for depth in (20,) if level == 1 else (20, 50):
        grid.append(Case(f"depth {depth}", seeds=64, depth=depth, epochs=epochs // 2, rounds=rounds))
    return grid


def _seeds_on_gpu(level: int) -> list[Case]:
    epochs, rounds = (0, 100, 500)[level], (0, 1, 3)[level]
    many = (256, 1024, 4096, 32768) if level == 1 else (1, 32, 256, 1024, 4096, 16384, 32768, 65536)
    grid = [Case(f"width 5, {n} seeds", seeds=n, epochs=epochs, rounds=rounds) for n in many]
    for width in (16,) if level == 1 else (16, 32, 64, 128):
        engines = ("plain", "lanes") if width <= WIDEST_IN_LANES else ("plain",)
        grid.append(Case(f"width {width}", seeds=4096, width=width, epochs=epochs // 5, rounds=rounds, engines=engines))
    return grid


def _peers(level: int) -> list[Case]:
    if not level:
        return [Case("article", seeds=2, epochs=2, engines=("plain",))]
    return [Case("article", seeds=(0, 8, 32)[level], epochs=(0, 40, 500)[level], rounds=(0, 2, 3)[level])]


def _floor(level: int) -> list[Case]:
    if not level:
        return [Case("article", seeds=16, engines=("plain",))]
    return [Case("article", seeds=256, epochs=(0, 200, 500)[level], rounds=(0, 2, 9)[level])]


def _scaling(level: int) -> list[Case]:
    if not level:
        return [Case("article", seeds=2, engines=("plain",))]
    return [Case("article", seeds=256, epochs=(0, 50, 500)[level], rounds=(0, 2, 9)[level])]


_QUESTIONS = {
    "train_step": _train_step,
    "seeds": _seeds,
    "peers": _peers,
    "floor": _floor,
    "scaling": _scaling,
}

_ON_GPU = {"seeds": _seeds_on_gpu}
