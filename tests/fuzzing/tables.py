"""Data files: tables as text and as NPZ."""

import contextlib
import csv
import gzip
import io
import re

import numpy as np

import vgrad_jax as vg
from tests.fuzzing.values import TEXTS, WrongError, mutated


def table(random):
    """A table of numbers with a class in the last column, as text, in some dialect."""
    rows, columns = random.choice((6, 12, 30)), random.choice((1, 2, 3))
    style = random.choice((".3f", "g", ".2e", "d"))
    numbers = [[random.choice((-1, 1)) * random.randint(0, 10**6) for _ in range(columns)] for _ in range(rows)]
    cells = [[format(n if style == "d" else n / 1000, style) for n in row] for row in numbers]
    words = random.choice((("a", "b"), ("yes", "no"), ("0", "1"), ("-1", "1"), ("none", "some")))
    for index, row in enumerate(cells):
        row.append(words[index % 2])
    if random.random() < 0.3:
        cells[random.randrange(rows)][random.randrange(columns)] = random.choice(TEXTS)
    names = [*(f"f{n}" for n in range(columns)), "kind"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=random.choice(",;\t|"), quoting=random.choice((0, 1)))
    writer.writerows([names, *cells] if random.random() < 0.7 else cells)
    return buffer.getvalue()


def data_files(random, folder):
    """Tables as text and as NPZ, changed at random, with options at random."""
    kind = random.choice((".csv", ".csv", ".csv.gz", ".npz", ".txt"))
    path = folder / f"table{kind}"
    if kind == ".npz":
        buffer = io.BytesIO()
        x = np.array([[random.gauss(0, 1) for _ in range(2)] for _ in range(12)])
        np.savez(buffer, x=x.astype(random.choice(("f4", "f8", "i8", "U4"))), y=np.arange(12) % 2)
        path.write_bytes(mutated(random, buffer.getvalue()))
    else:
        text = table(random).encode("utf-8", "surrogatepass")
        text = mutated(random, text) if random.random() < 0.6 else text
        path.write_bytes(gzip.compress(text, 1) if kind == ".csv.gz" else text)
    options = {"scale": "none"}
    for name, values in (
        ("header", (None, True, False)),
        ("missing", ("refuse", "drop", "median")),
        ("target", (None, 0, -1, "kind", "f0", 7)),
        ("categorical", ((), (0,), "f0")),
        ("ignore", ((), ("f0",), 1)),
        ("task", (None, "classes", "numbers")),
        ("train_samples", (None, 2, 8)),
    ):
        if random.random() < 0.3 and (kind != ".npz" or name != "header"):
            options[name] = random.choice(values)
    dataset = vg.load_data(vg.Data(path=path, **options))
    if options.get("missing") != "median" and kind != ".npz":
        text = gzip.decompress(path.read_bytes()) if kind == ".csv.gz" else path.read_bytes()
        tokens = re.findall(r"[-+.\w]+", text.decode("utf-8-sig"))
        known = {0.0, 1.0}
        for token in tokens:
            with contextlib.suppress(ValueError):
                known.add(np.float32(token).item())
        strange = set(np.concatenate([dataset.train_x, dataset.test_x]).ravel().tolist()) - known
        if strange:
            raise WrongError(f"the file does not hold {sorted(strange)[:3]}: {text[:300]!r}, {options}")
