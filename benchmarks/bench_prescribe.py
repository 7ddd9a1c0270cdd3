"""Does `vgrad_jax.prescribe` find a cure more often than chance does, with equally many trainings?

    python benchmarks/bench_prescribe.py --minutes 6 --out prescriptions.json

Forty sick networks are made on four data sets. Remedies of the cabinet are trained on each of them once, over 48
seeds. The first 24 seeds are what a method may look at, a number at a time, and the others judge its choice. All
methods therefore choose from the same outcomes, and none is trained again:

- prescribe: the diagnosis, then the race. Its trainings are counted, those of the untouched network included.
- random choice: remedies in random order, 8 seeds each, until the trainings are used up; the largest share is chosen.
- successive halving: remedies in random order share the trainings; the better half goes on with twice the seeds.

A choice cures where at least 75 % of the 24 other runs converge. Its regret is the best remedy's mean test accuracy
less its own. Only single changes are compared. A network for which a method names nothing keeps its own accuracy.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vgrad_jax as vg
from vgrad_jax.prescription import CABINET
from vgrad_jax.prescription.candidates import Candidate, single_changes
from vgrad_jax.prescription.prescribing import UNTOUCHED, Case, Visit, verdict_of
from vgrad_jax.prescription.trials import Trials, Work, with_few_records
from vgrad_jax.statistics.intervals import mean
from vgrad_jax.sweeps.engine import PROGRAMS
from vgrad_jax.sweeps.experiment_arm import ExperimentArm

LOOKED_AT, JUDGING = 24, 24
"""Seeds that methods may look at, and seeds that judge their choice."""
ENOUGH, STEP, MOST, REPEATS = 0.75, 8, 12, 20
DATA = {
    "moons": vg.Data("moons", samples=120, noise=0.1),
    "wine": vg.Data("wine"),
    "circles": vg.Data("circles", samples=120, noise=0.05),
    "digits": vg.Data("digits", samples=200),
}
SICK = {
    "vanishing, tiny weights": {"kernel_init": "normal(0.02)"},
    "vanishing, small weights": {"kernel_init": "fan_in_normal(0.05)"},
    "collinear": {"kernel_init": "uniform(0, 1)"},
    "saturated": {"kernel_init": "normal(3.0)"},
    "saturated by biases": {"bias_init": "constant(4.0)"},
    "learning rate too small": {"learning_rate": 1e-5},
    "learning rate too large": {"learning_rate": 30.0},
    "dead": {"activation": "relu", "bias_init": "constant(-2.0)"},
    "exploding": {"activation": "relu", "kernel_init": "normal(3.0)"},
    "vanishing in ReLU": {"activation": "relu", "kernel_init": "normal(0.02)"},
}
NEW_PROGRAMS = (
    *("activation=relu+he_normal", "activation=relu", "activation=tanh", "activation=leaky_relu", "norm=layer"),
    *("residual=1/sqrt(depth)", "adam", "adam(0.01)", "clip_norm=1"),
)
"""Remedies whose training is a program of its own; the others of the cabinet would take too long to compile."""
CHEAP = ("learning_rate", "initialisation", "output", "biases")
"""Kinds of remedies that share the program of the untouched network."""
REMEDIES = tuple(remedy for remedy in CABINET if remedy.kind in CHEAP or remedy.name in NEW_PROGRAMS)


def sick_networks() -> Iterator[tuple[str, vg.Experiment]]:
    """Yield each sick network with its name, the data sets one after another."""
    for source, data in DATA.items():
        classes = 2 if source in ("moons", "circles") else 3
        for fault, changes in SICK.items():
            fields = dict(changes)
            rate = fields.pop("learning_rate", 0.1)
            yield (
                f"{source}, {fault}",
                vg.Experiment(
                    mlp=vg.MLP(hidden=(8,) * 4, **{"activation": "tanh", "kernel_init": "lecun_normal", **fields}),
                    data=data,
                    optimizer=vg.Optimizer("sgd", learning_rate=rate, momentum=0.9),
                    training=vg.Training(
                        epochs=40,
                        batch_size=15,
                        threshold=0.8,
                        loss="binary_cross_entropy" if classes == 2 else "softmax_cross_entropy",
                    ),
                ),
            )


@dataclass
class Patient:
    """A sick network with every remedy's outcomes on all seeds."""

    name: str
    experiment: vg.Experiment
    verdict: vg.Diagnosis
    work: dict[str, Work]

    def remedies(self) -> list[str]:
        """Return the names of the remedies that apply."""
        return [name for name in self.work if name != UNTOUCHED]

    def share(self, name: str, seeds: slice) -> float:
        """Return the share of runs that converge."""
        return float(self.work[name].converged[seeds].mean())

    def score(self, name: str, seeds: slice) -> float:
        """Return the mean test accuracy."""
        return float(self.work[name].test_score[seeds].mean())


JUDGES = slice(LOOKED_AT, LOOKED_AT + JUDGING)


def examined(name: str, experiment: vg.Experiment) -> Patient:
    """Train a network and every remedy for it over all seeds."""
    experiment = with_few_records(experiment)
    control = Candidate(UNTOUCHED, "", 0, ExperimentArm(experiment))
    candidates, _ = single_changes(experiment, None, len(REMEDIES), REMEDIES, of_a_kind=len(REMEDIES))
    trials = Trials(seed=0, step=LOOKED_AT, report=lambda new: None)
    first = trials.train([control], 0, LOOKED_AT)[UNTOUCHED]
    verdict = verdict_of(experiment, [first], trials.of(UNTOUCHED), 0)
    trials.train([control], LOOKED_AT, JUDGING)
    for start in (0, LOOKED_AT):
        trials.train(candidates, start, LOOKED_AT)
    return Patient(name, experiment, verdict, {n: trials.of(n) for n in (UNTOUCHED, *(c.name for c in candidates))})


class Lookup:
    """Trainings that are looked up, in place of `Trials`."""

    def __init__(self, patient: Patient) -> None:
        self.patient, self.step, self.seed = patient, STEP, 0
        self.work: dict[str, list[Work]] = {}
        self.trained = 0

    def train(self, candidates: list[Candidate], start: int, count: int) -> dict[str, None]:
        """Look up a round."""
        for candidate in candidates:
            values = (part[start : start + count] for part in self.patient.work[candidate.name])
            self.work.setdefault(candidate.name, []).append(Work(*values))
            self.trained += count
        return {candidate.name: None for candidate in candidates}

    def of(self, name: str) -> Work:
        """Return all runs so far."""
        return Work(*(np.concatenate(parts) for parts in zip(*self.work[name], strict=True)))


def prescribed(patient: Patient) -> tuple[str | None, int]:
    """Return what `prescribe` names, and the number of trainings that it took."""
    experiment = patient.experiment
    case = Case(
        Candidate(UNTOUCHED, "", 0, ExperimentArm(experiment)),
        "",
        lambda *arguments: patient.verdict,
        lambda verdict, most: single_changes(experiment, verdict, most, REMEDIES),
        lambda helped, most: [],
    )
    lookup = Lookup(patient)
    answer = Visit(case, LOOKED_AT, MOST, ENOUGH, lookup).prescribe()
    return None if answer.best is None else answer.best.name, lookup.trained


def by_chance(patient: Patient, budget: int, generator: np.random.Generator) -> str:
    """Return the choice of a random search."""
    order = generator.permutation(patient.remedies())[: max(1, budget // STEP)]
    return max(order, key=lambda name: (patient.share(name, slice(STEP)), patient.score(name, slice(STEP))))


def by_halving(patient: Patient, budget: int, generator: np.random.Generator) -> str:
    """Return the choice of successive halving (Jamieson and Talwalkar 2016), from 2 seeds up to `LOOKED_AT`."""
    seeds, names = 2, list(generator.permutation(patient.remedies()))
    rounds = int(np.log2(LOOKED_AT / seeds)) + 1
    names = names[: max(1, budget // (seeds * rounds))]
    before = 0
    while budget >= len(names) * (seeds - before) and len(names) > 1:
        budget -= len(names) * (seeds - before)
        key = slice(seeds)
        names.sort(key=lambda name: (patient.share(name, key), patient.score(name, key)), reverse=True)
        names = names[: -(-len(names) // 2)]
        before, seeds = seeds, min(2 * seeds, LOOKED_AT)
        if before == seeds:
            break
    return names[0]


def judged(patient: Patient, name: str | None) -> tuple[float, float]:
    """Return whether a choice cures, and its regret."""
    best = max(patient.score(other, JUDGES) for other in patient.work)
    chosen = UNTOUCHED if name is None else name
    return float(patient.share(chosen, JUDGES) >= ENOUGH), best - patient.score(chosen, JUDGES)


def compared(patients: list[Patient]) -> dict[str, object]:
    """Compare the methods, a row for each network."""
    generator = np.random.default_rng(0)
    rows = []
    for patient in patients:
        name, budget = prescribed(patient)
        methods = {"prescribe": [judged(patient, name)]}
        for method, choose in (("random", by_chance), ("halving", by_halving)):
            methods[method] = [judged(patient, choose(patient, budget, generator)) for _ in range(REPEATS)]
        curable = any(patient.share(other, JUDGES) >= ENOUGH for other in patient.remedies())
        rows.append(
            {
                "network": patient.name,
                "verdict": patient.verdict.status,
                "named": name,
                "trainings": budget,
                "curable": curable,
                **{method: np.mean(values, axis=0).tolist() for method, values in methods.items()},
            }
        )
    summary = {}
    for index, quantity in enumerate(("cured", "regret")):
        for method in ("prescribe", "random", "halving"):
            values = np.array([row[method][index] for row in rows])
            ours = np.array([row["prescribe"][index] for row in rows])
            difference = None if method == "prescribe" else list(mean(ours - values))
            summary[f"{method} {quantity}"] = {"mean": list(mean(values)), "prescribe less it": difference}
    return {"networks": len(rows), "curable": sum(row["curable"] for row in rows), "summary": summary, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="no new network is begun after this time")
    parser.add_argument("--out", type=Path, help="JSON with every row")
    arguments = parser.parse_args()
    start = time.monotonic()
    patients: list[Patient] = []
    fine = []
    with PROGRAMS.room_for(64):
        for name, experiment in sick_networks():
            if time.monotonic() - start > 60 * arguments.minutes:
                print("time is up")
                break
            patient = examined(name, experiment)
            is_fine = patient.share(UNTOUCHED, slice(LOOKED_AT)) >= ENOUGH
            (fine if is_fine else patients).append(patient)
            print(f"{time.monotonic() - start:5.0f} s  {name}: {patient.verdict.status}", flush=True)
            if arguments.out is not None and patients:
                arguments.out.write_text(json.dumps(compared(patients), indent=1))
    table = compared(patients)
    print(
        f"{table['networks']} sick networks, {table['curable']} of them curable by a single change; fine: {len(fine)}"
    )
    for row in table["rows"]:
        print(
            f"{row['network']}: {row['verdict']}; {row['named']}; {row['trainings']}; cured by "
            f"{row['prescribe'][0]:.0f}, {row['random'][0]:.2f}, {row['halving'][0]:.2f}"
        )
    for name, values in table["summary"].items():
        print(name, values)


if __name__ == "__main__":
    main()
