"""Fuzzers of everything that comes from outside: files, descriptions, command lines, arguments of public functions.

    python -m tests.fuzzing --inputs 100000

An input is either used or refused by `InputError`, and by exit code 2 on the command line. Anything else is a fault:
another exception, more than five seconds of the processor, a number that is not the file's, a file that is touched.
The tests run a few hundred inputs of each kind, as Hypothesis draws them.
"""

import argparse
import collections
import re
from random import Random

from tests.fuzzing.running import KINDS, outcome, prepared


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    faults = collections.defaultdict(list)
    with prepared():
        for kind in kinds:
            counts = collections.Counter()
            for number in range(options.first, options.first + options.inputs // len(kinds)):
                said = outcome(kind, Random(f"{options.seed} {kind} {number}"))
                counts[said if said in ("used", "refused") else "faults"] += 1
                if said not in ("used", "refused"):
                    print(f"input {number}: {said}", flush=True)
                    faults[re.sub(r"\d+", "0", said[:90])].append((number, said))
            print(kind, dict(counts), flush=True)
    for examples in faults.values():
        print(f"{len(examples)} times, such as input {examples[0][0]}: {examples[0][1]}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
