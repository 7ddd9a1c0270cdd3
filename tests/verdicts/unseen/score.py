"""Train the cases, ask for verdicts, and say how often these are right.

The rows of the open half are printed. Of the closed half, the later families, and the fresh, sealed and blind families
only totals are printed, so that no rule is fitted to them.
"""

import argparse
import hashlib
import importlib
import pickle
import sys
import time
from pathlib import Path

import common
import numpy as np

import vgrad_jax as vg

MODULES = (
    *("tables", "columns", "sequences", "language", "images", "transfer", "depth", "densities", "structures"),
    *("commerce", "pictures", "solvers", "learners"),
    # Fresh.
    *("diffusions", "memories", "similarity", "machines"),
    # Sealed.
    *("rivals", "adaptation", "shapes", "matter", "noisy"),
    # Blind.
    *("waves", "patches", "codes", "geometry", "operators", "decisions"),
)
SOUND = ("healthy", "solved")
HALVES = ("open", "closed", "later", "fresh", "sealed", "blind")


def all_cases():
    """Return the cases of all modules."""
    return [case for name in MODULES for case in importlib.import_module(name).cases()]


def recorded(case, seeds, cache):
    """Return the record of a case, the scores reached, and the check; stored in the folder where there is one."""
    if cache is None:
        record, params = common.train(case, seeds)
        return record, common.scores(case, params), common.check(case, seeds)
    name = case.name if case.half == "open" else hashlib.sha256(case.name.encode()).hexdigest()[:16]
    stem = Path(cache) / f"{name}-{seeds}"
    record_path, reached_path, check_path = (stem.with_name(stem.name + end) for end in (".npz", ".score", ".check"))
    if record_path.exists() and reached_path.exists():
        record, reached = vg.Record.load(record_path), pickle.loads(reached_path.read_bytes())
    else:
        record, params = common.train(case, seeds)
        reached = common.scores(case, params)
        record.save(record_path)
        reached_path.write_bytes(pickle.dumps(reached))
    if check_path.exists():
        return record, reached, pickle.loads(check_path.read_bytes())
    check = common.check(case, seeds)
    check_path.write_bytes(pickle.dumps(check))
    return record, reached, check


def against(case, reached):
    """Say whether the scores of all seeds are on the wrong side of the bound, such as on another machine."""
    if reached is None:
        return False
    return bool(np.max(reached) < case.bound if case.twin is None else np.min(reached) >= case.bound)


def share(diagnosis):
    """Return the share of the seeds that have the verdict, as text."""
    return f"{np.ravel(diagnosis.share)[0]:.2f}"


def judge(case, seeds, cache):
    """Return a row: the scores, and (status, share) with the check and alone; an exception becomes a status."""
    try:
        record, reached, check = recorded(case, seeds, cache)
    except Exception as error:
        failed = f"{type(error).__name__}: {str(error)[:300]}"
        return {"reached": None, "with": (failed, ""), "alone": (failed, ""), "errors": [failed]}
    row = {"reached": reached, "errors": []}
    for kind, options in (("with", {"check": check}), ("alone", {})):
        try:
            diagnosis = vg.diagnose(record, **options)
            row[kind] = diagnosis.status, share(diagnosis)
        except Exception as error:
            row["errors"].append(f"{type(error).__name__}: {str(error)[:300]}")
            row[kind] = row["errors"][-1], ""
    return row


def totals(name, cases, rows):
    """Return the lines of totals of some cases."""
    if not cases:
        return []
    healthy = [case.twin is None for case in cases]
    lines = [f"{name}: {len(cases)} cases, {sum(healthy)} healthy, {len(cases) - sum(healthy)} sick"]
    for kind, title in (("with", "with the check"), ("alone", "record alone")):
        status = [row[kind][0] for row in rows]
        right = [found in case.truth for case, found in zip(cases, status, strict=True)]
        well = [found for found, sound in zip(status, healthy, strict=True) if sound]
        ill = [found for found, sound in zip(status, healthy, strict=True) if not sound]
        ill_right = [found for found, sound in zip(right, healthy, strict=True) if not sound]
        lines.append(
            f"  {title}: right {sum(right)}/{len(cases)} ({sum(right) / len(cases):.1%}),"
            f" false alarms {sum(found not in SOUND for found in well)}/{len(well)},"
            f" sick right {sum(ill_right)}/{len(ill)},"
            f" sick called healthy or solved {sum(found in SOUND for found in ill)}/{len(ill)},"
            f" unclear {status.count('unclear')}/{len(cases)}"
        )
    odd = sum(against(case, row["reached"]) for case, row in zip(cases, rows, strict=True))
    lines.append(f"  trainings whose score is against their label: {odd}")
    return lines


def main():
    """Print the rows of the open half and the totals of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=HALVES, help="by default all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=(), metavar="NAME", help="cases of the open half")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="folder for records and checks")
    arguments = parser.parse_args()
    if arguments.cache is not None:
        arguments.cache.mkdir(parents=True, exist_ok=True)
    cases = [case for case in all_cases() if arguments.half in (None, case.half)]
    if arguments.cases:
        cases = [case for case in cases if case.half == "open" and case.name in arguments.cases]
        missing = set(arguments.cases) - {case.name for case in cases}
        if missing:
            parser.error(f"no case of the open half is named {', '.join(sorted(missing))}")
    start, rows, hidden = time.perf_counter(), {}, 0
    for number, case in enumerate(cases, 1):
        row = rows[case.name] = judge(case, arguments.seeds, arguments.cache)
        progress = f"[{number}/{len(cases)}, {time.perf_counter() - start:.0f} s]"
        if case.half != "open":
            hidden += 1
            print(f"{progress} {case.half} {hidden}", file=sys.stderr, flush=True)
            for error in row["errors"]:
                print(f"  a case that is {case.half} raised {error}", flush=True)
            continue
        print(progress, file=sys.stderr, flush=True)
        marks = ["right" if row[kind][0] in case.truth else "WRONG" for kind in ("with", "alone")]
        reached = "-" if row["reached"] is None else " ".join(f"{value:.2f}" for value in row["reached"])
        print(
            f"{case.name:34} with {' '.join(row['with'])} {marks[0]} | alone {' '.join(row['alone'])} {marks[1]}"
            f" | truth {','.join(sorted(case.truth))} | score {reached}",
            flush=True,
        )
    for half in HALVES:
        chosen = [case for case in cases if case.half == half]
        print("\n".join(totals(half, chosen, [rows[case.name] for case in chosen])), flush=True)


if __name__ == "__main__":
    main()
