"""Damage real stores and archives in every way, and see what reading, verifying and resuming make of it.

    python -m tests.results.fuzzing 10000

A damaged store is refused in a sentence (`InputError`), or gives what it gave before. A traceback, five seconds without
an answer, another number, and a file outside that has changed are faults.
"""

import json
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import vgrad_jax as vg
from tests import stores
from vgrad_jax.results import pack_results, verify_results

SEEDS = 6
SECONDS = 5
"""Longest processor time that an answer may take."""

VALUES = (
    *(None, True, False, 0, 1, -1, 3, 10**6, 10**12, 10**400, 0.5, -0.0, 1e308, float("nan")),
    *("", "x", "../x", "/etc/passwd", "float64", "int32", "string", "\ud800", "\0", "\u202e", "é" * 9, "[" * 100_000),
    *([], {}, [[]], {"name": "x"}, [10**12]),
)
"""Values that replace a value of JSON."""


class SlowError(BaseException):
    """Error of a case that takes too long; no boundary of the package may take it for a damaged file."""


@contextmanager
def limited(seconds):
    def late(number, frame):
        raise SlowError(f"no answer within {seconds} s")

    # Processor time, since other processes may be busy; and a long time by the clock, for a case that waits.
    timers = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, 24 * seconds))
    before = [signal.signal(number, late) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def files_of(path, rng, ending=""):
    files = sorted(own for own in path.rglob("*") if own.is_file() and own.name.endswith(ending))
    return rng.choice(files)


def flip(path, rng):
    """Flip a few bits of a file."""
    file = files_of(path, rng)
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 8))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def truncate(path, rng):
    file = files_of(path, rng)
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content) + 1)])


def extend(path, rng):
    file = files_of(path, rng)
    file.write_bytes(file.read_bytes() + rng.randbytes(rng.choice((1, 100, 10_000))))


def replace(path, rng):
    """Fill a file with noise, zeros or brackets."""
    size = rng.choice((0, 1, 100, 100_000))
    content = rng.choice((rng.randbytes(size), bytes(size), b"[" * size, b"{}", b"null"))
    files_of(path, rng).write_bytes(content)


def delete(path, rng):
    files_of(path, rng).unlink()


def delete_folder(path, rng):
    folders = sorted(own for own in path.rglob("*") if own.is_dir())
    shutil.rmtree(rng.choice(folders))


def swap(path, rng):
    """Swap two files; of one variable, as a rule, so that both can be decoded."""
    first = files_of(path, rng)
    room = path / first.relative_to(path).parts[0]
    alike = sorted(own for own in room.rglob("*") if own.is_file()) or [first]
    second = rng.choice(alike) if rng.random() < 0.8 else files_of(path, rng)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def odd_kind(path, rng):
    """Put a folder, a link or a loop where a file was."""
    file = files_of(path, rng)
    file.unlink()
    kind = rng.randrange(3)
    if kind == 0:
        file.mkdir()
    else:
        file.symlink_to(("/etc/passwd", file.name)[kind - 1])


def linked_folder(path, rng):
    """Put a link to a folder outside where a folder was."""
    folders = sorted(own for own in path.rglob("*") if own.is_dir() and not own.is_symlink())
    folder = rng.choice(folders)
    outside = path.parent / "outside"
    if rng.random() < 0.5:
        shutil.rmtree(folder)
    else:  # The same files are there.
        outside = path.parent / f"case-moved-{rng.randrange(10**9)}"
        folder.rename(outside)
    folder.symlink_to(outside, target_is_directory=True)


def json_value(path, rng):
    """Replace, remove or add a value of a file of JSON."""
    file = files_of(path, rng, ".json")
    document = json.loads(file.read_text())
    edit(document, rng)
    file.write_text(json.dumps(document))


def edit(document, rng, depth=0):
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    if not keys:
        return
    key = rng.choice(keys)
    value = document[key]
    if isinstance(value, str) and value[:1] == "{" and rng.random() < 0.7:  # JSON within JSON.
        inner = json.loads(value)
        edit(inner, rng)
        document[key] = json.dumps(inner)
    elif isinstance(value, dict | list) and value and rng.random() < 0.8 and depth < 9:
        edit(value, rng, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        document[key] = rng.choice((value + 1, value - 1, value * 2, -value, str(value), float(value)))
    elif rng.random() < 0.2:
        del document[key]
    else:
        document[key] = rng.choice(VALUES)


MUTATIONS = (flip, truncate, extend, replace, delete, delete_folder, swap, odd_kind, linked_folder, json_value)


class Originals:
    """Stores to damage, and the results of each; in a folder with files that must stay as they are."""

    def __init__(self, root):
        self.root = Path(root)
        self.outside = self.root / "outside" / "c.txt"
        self.outside.parent.mkdir()
        self.outside.write_text("a year of work")
        self.stores = {kind: self.root / f"{kind}.zarr" for kind in ("new", "older", "grown")}
        for path in self.stores.values():
            stores.sweep(path, SEEDS if path.stem != "grown" else SEEDS - 3)
        stores.sweep(self.stores["grown"], SEEDS)
        forget_checksums(self.stores["older"])
        self.archive = pack_results(self.stores["new"], self.root / "packed.zip")
        self.results = vg.open_results(self.stores["new"]).load()

    def same(self, results):
        return results.identical(self.results) and results.attrs == self.results.attrs


def forget_checksums(path):
    """Make a store one of an earlier version."""
    shutil.rmtree(path / "checksums")
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["checksums"], root["consolidated_metadata"]
    (path / "zarr.json").write_text(json.dumps(root))


def harmed(originals, case):
    """Return a damaged copy, what was done to it, and whether its checksums must show any change."""
    rng = random.Random(case)
    kind = rng.choice(("new", "new", "new", "grown", "signed", "older", "archive"))
    path = originals.root / "case.zarr"
    if kind == "archive":
        path = originals.root / "case.zip"
        shutil.copyfile(originals.archive, path)
        content = bytearray(path.read_bytes())
        for _ in range(rng.choice((1, 2))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(rng.choice((content, content, content[: rng.randrange(len(content))])))
        return path, kind, True
    shutil.copytree(originals.stores["new" if kind == "signed" else kind], path)
    if kind == "signed":  # The checksums agree with the harm, so that the values themselves are met.
        json_value(path, rng)
        try:
            stores.sign(path)
        except Exception:  # The harm was to the checksums, or to a file that is gone.
            kind = "new"
        return path, f"{kind} json_value", kind == "new"
    mutations = rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2)))
    for mutation in mutations:
        mutation(path, rng)
    return path, " ".join((kind, *(own.__name__ for own in mutations))), kind != "older"


def fault_of(originals, case):
    """Return what is wrong with the answers to a damaged store, or None; and what was done to it."""
    try:
        path, harm, shows_changes = harmed(originals, case)
    except (OSError, IndexError, ValueError):  # A file that an earlier harm took away.
        clear(originals.root)
        return None, "not harmed"
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return answers(originals, path, shows_changes, resumes=case % 3 == 0), harm
    except SlowError as error:
        return str(error), harm
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in where if "vgrad_jax" in frame.filename] or where
        return f"{type(error).__name__}: {str(error)[:200]} ({Path(own[-1].filename).name}:{own[-1].lineno})", harm
    finally:
        clear(originals.root)


def clear(root):
    """Remove what a case left."""
    for path in root.glob("case*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def answers(originals, path, shows_changes, resumes):
    """Open, verify and resume a damaged store; return what is wrong, or None."""
    refused = False
    try:
        results = vg.open_results(path).load()
    except vg.InputError as error:
        refused = True
        if "\n" in str(error) or str(path) not in str(error).encode("unicode_escape").decode():
            return f"a sentence that does not name the store: {error}"
    else:
        if shows_changes and not originals.same(results):
            return "another number"
    try:
        verification = verify_results(path)
        if not verification.damage and refused:
            return "refused, and verified as right"
    except vg.InputError:
        if not refused:
            return "opened, and refused by verify"
    if path.is_dir() and resumes:
        try:
            stores.sweep(path, SEEDS)
            if shows_changes and not originals.same(vg.open_results(path).load()):
                return "another number after resuming"
        except vg.InputError:
            pass
    outside = list(originals.outside.parent.rglob("*"))
    if outside != [originals.outside] or originals.outside.read_text() != "a year of work":
        return "a file outside was changed"
    return None


def fuzz(cases, root):
    """Return the faults of many cases, each a case, what was done, and what is wrong; and how often each harm came."""
    originals = Originals(root)
    names = {path.name for path in originals.root.iterdir()}
    faults, harms = [], Counter()
    for case in cases:
        fault, harm = fault_of(originals, case)
        harms[harm] += 1
        if fault is None and {path.name for path in originals.root.iterdir()} != names:
            fault = "a file outside was made or removed"
        if fault is not None:
            faults.append((case, harm, fault))
            print(f"case {case} ({harm}): {fault!a}", flush=True)
        if sum(harms.values()) % 500 == 0:
            print(f"{sum(harms.values())} damaged stores: {len(faults)} faults", flush=True)
    return faults, harms


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as root:
        faults, harms = fuzz(range(first, first + number), root)
    print(f"{number} damaged stores of {len(harms)} kinds: {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
