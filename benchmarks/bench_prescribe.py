"""Does `vgrad_jax.prescribe` find a cure more often than chance does, with equally many trainings?

    python -m benchmarks.bench_prescribe --minutes 6 --out prescriptions.json
    python -m benchmarks.bench_prescribe --real --minutes 40

A table of outcomes that is there already goes on, so that minutes may be few.

Forty sick networks are made on four data sets; `--real` takes networks that people asked about in their place. Remedies
of the cabinet are trained on each of them once, over 48 seeds. The first 24 seeds are what a method may look at, a
number at a time, and the others judge its choice. All methods therefore choose from the same outcomes, and none is
trained again:

- prescribe: the diagnosis, then the race. Its trainings are counted, those of the untouched network included.
- order: the remedies that the diagnosis puts first, 8 seeds each. The 16 runs that it reads are part of the budget.
- random choice: remedies in random order, 8 seeds each, until the trainings are used up; the largest share is chosen.
- successive halving: remedies in random order share the trainings; the better half goes on with twice the seeds.

A choice cures where at least 75 % of the 24 other runs converge. Its regret is the best remedy's mean test accuracy
less its own. Only single changes are compared. Where the race proves nothing, its choice is the change with the
largest share.
"""

import argparse
import json
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vgrad_jax as vg
from benchmarks.real_networks import real_networks
from vgrad_jax.prescription import CABINET
from vgrad_jax.prescription.candidates import Candidate, single_changes
from vgrad_jax.prescription.judging import JUDGED, verdict_of
from vgrad_jax.prescription.prescribing import UNTOUCHED, Case, Visit
from vgrad_jax.prescription.trials import Trials, Work, with_few_records
from vgrad_jax.statistics.intervals import mean
from vgrad_jax.sweeps.engine import PROGRAMS
from vgrad_jax.sweeps.experiment_arm import ExperimentArm

LOOKED_AT, JUDGING = 24, 24
"""Seeds that methods may look at, and seeds that judge their choice."""
ENOUGH, STEP, MOST, REPEATS = 0.75, 8, 12, 20
BUDGETS = (40, 64, 112)
"""Numbers of trainings that are far smaller than those of the race."""
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
    *("residual=1/sqrt(depth)", "residual=1+zeros", "residual=learned", "adam", "adam(0.01)", "clip_norm=1"),
    "schedule=cosine+warmup=0.1",
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
    """Return the best change that `prescribe` names, or the closest where none works, and its number of trainings."""
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
    named = answer.best or answer.closest
    return None if named is None else named.name, lookup.trained


def most_converging(patient: Patient, names: Sequence[str]) -> str:
    """Return the remedy with the largest share on the first seeds; of equal ones, that with the highest accuracy."""
    return max(names, key=lambda name: (patient.share(name, slice(STEP)), patient.score(name, slice(STEP))))


def by_order(patient: Patient, budget: int) -> str:
    """Return the choice among the remedies that the diagnosis puts first; its own runs are part of the budget."""
    most = max(1, (budget - JUDGED) // STEP)
    candidates, _ = single_changes(patient.experiment, patient.verdict, most, REMEDIES)
    return most_converging(patient, [candidate.name for candidate in candidates])


def by_chance(patient: Patient, budget: int, generator: np.random.Generator) -> str:
    """Return the choice of a random search."""
    return most_converging(patient, list(generator.permutation(patient.remedies())[: max(1, budget // STEP)]))


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
        for limit in (budget, *BUDGETS):
            at = "its budget" if limit == budget else f"{limit}"
            if limit != budget:
                methods[f"order, {at}"] = [judged(patient, by_order(patient, limit))]
            for method, choose in (("random", by_chance), ("halving", by_halving)):
                choices = [choose(patient, limit, generator) for _ in range(REPEATS)]
                methods[f"{method}, {at}"] = [judged(patient, choice) for choice in choices]
        curable = any(patient.share(other, JUDGES) >= ENOUGH for other in patient.remedies())
        rows.append(
            {
                "network": patient.name,
                "verdict": patient.verdict.status,
                "named": name,
                "trainings": budget,
                "curable": curable,
                "methods": {method: np.mean(values, axis=0).tolist() for method, values in methods.items()},
            }
        )
    summary = {}
    for method in rows[0]["methods"]:
        against = "prescribe" if method.endswith("budget") else f"order, {method.rpartition(' ')[2]}"
        for index, quantity in enumerate(("cured", "regret")):
            values = np.array([row["methods"][method][index] for row in rows])
            difference = None
            if against in rows[0]["methods"] and against != method:
                ours = np.array([row["methods"][against][index] for row in rows])
                difference = [round(float(number), 3) for number in mean(ours - values)]
            estimate = [round(float(number), 3) for number in mean(values)]
            summary[f"{method}: {quantity}"] = {"mean": estimate, f"{against} less it": difference}
    return {"networks": len(rows), "curable": sum(row["curable"] for row in rows), "summary": summary, "rows": rows}


def kept(table: Path) -> list[Patient]:
    """Return the networks of an earlier call."""
    return pickle.loads(table.read_bytes()) if table.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="no new network is begun after this time")
    parser.add_argument(
        "--table", type=Path, default=Path("prescriptions.pickle"), help="outcomes; a later call goes on"
    )
    parser.add_argument("--real", action="store_true", help="networks that people asked about")
    parser.add_argument("--out", type=Path, help="JSON with every row")
    arguments = parser.parse_args()
    start = time.monotonic()
    patients = kept(arguments.table)
    known = {patient.name for patient in patients}
    with PROGRAMS.room_for(64):
        for name, experiment in real_networks() if arguments.real else sick_networks():
            if name in known:
                continue
            if time.monotonic() - start > 60 * arguments.minutes:
                print("time is up")
                break
            patients.append(examined(name, experiment))
            arguments.table.write_bytes(pickle.dumps(patients))
            print(f"{time.monotonic() - start:5.0f} s  {name}: {patients[-1].verdict.status}", flush=True)
    sick = [patient for patient in patients if patient.share(UNTOUCHED, slice(LOOKED_AT)) < ENOUGH]
    table = compared(sick)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(table, indent=1))
    print(f"{len(patients)} networks, {len(sick)} sick, {table['curable']} curable by a single change")
    for row in table["rows"]:
        print(json.dumps(row))
    for name, values in table["summary"].items():
        print(name, values)


if __name__ == "__main__":
    main()
