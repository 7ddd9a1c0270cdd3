"""Train the cases with their twins and print whether the outcomes agree with the labels; no verdict is asked for."""

import argparse
import importlib
import time

import numpy as np
from common import outcome_agrees, scores, train

MODULES = (
    *("tables", "columns", "sequences", "language", "images", "transfer", "depth", "densities", "structures"),
    *("commerce", "pictures", "solvers", "learners"),
    *("diffusions", "memories", "similarity", "machines"),
    *("rivals", "adaptation", "shapes", "matter", "noisy"),
    *("waves", "patches", "codes", "geometry", "operators", "decisions"),
)


def main():
    """Print a row for each case: its scores, those of its twin, and whether they fit the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", nargs="*", default=MODULES)
    parser.add_argument("--cases", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    reached = {}

    def reach(case):
        if case.name not in reached:
            start = time.perf_counter()
            reached[case.name] = scores(case, train(case, arguments.seeds)[1]), time.perf_counter() - start
        return reached[case.name]

    for module in arguments.modules:
        for case in importlib.import_module(module).cases():
            if arguments.cases and case.name not in arguments.cases:
                continue
            try:
                own, seconds = reach(case)
                twin = None if case.twin is None else reach(case.twin)[0]
            except Exception as error:
                print(f"{case.name:32} raises {type(error).__name__}: {error}", flush=True)
                continue
            verdict = "agrees" if outcome_agrees(case, own, twin) else "DISAGREES"
            print(
                f"{case.name:32} {verdict:9} {np.round(own, 3)} twin {twin if twin is None else np.round(twin, 3)}"
                f" bound {case.bound:.2f} floor {case.floor:.2f} {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
