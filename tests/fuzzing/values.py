"""Values and texts that are wrong nearly everywhere, changes of bytes, and faults that no exception tells."""

import numpy as np

TEXTS = (
    "",
    " ",
    "nan",
    "-inf",
    "1e400",
    "-1",
    "0",
    "3",
    "1_000",
    "0x10",
    "١٢",
    "tanh",
    "relu(",
    "uniform(0,1)",
    "$x^{2$",
    "%s",
    "{0}",
    "../..",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "/",
    ".",
    "-",
    "--",
    "none",
    "null",
    "a\0b",
    "\ud800",
    "\u202eabc",
    "\x1b[31m",
    "a\nb",
    "é",
    "\U0001f525",
    "x" * 5000,
    "[" * 2000,
    "{" * 2000,
    "1" * 5000,
    "=",
    "a=",
    "=1",
    "mlp.hidden=[[[1]]]",
    "data.path=/dev/zero",
    "__class__",
    "mlp",
    "file",
    "arrays",
    "circles",
    "wine",
)

VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    10**9,
    10**30,
    -(10**30),
    2**63,
    0.5,
    -0.0,
    1e300,
    1e-320,
    float("nan"),
    float("inf"),
    1j,
    b"bytes",
    [],
    {},
    (),
    [[]],
    [1, "a"],
    {"a": 1},
    {"function": "os:system"},
    {"function": 3},
    {"function": "jax.nn:relu"},
    (1, 2),
    object(),
    int,
    print,
    np.float32(1),
    np.array([1.0, np.nan]),
    np.array("text"),
    np.array([None, 1]),
    range(3),
    {1, 2},
    Ellipsis,
    NotImplemented,
    np.zeros((0, 3)),
    np.zeros((2, 2, 2)),
    *TEXTS,
)

PLAIN = tuple(value for value in VALUES if isinstance(value, str | int | float | list | dict | None))


class WrongError(AssertionError):
    """A fault that no exception tells: a wrong number, or a file that was touched."""


class Reached(BaseException):
    """Input that was accepted: what would follow is long."""


def mutated(random, content):
    """A few random changes of a file's bytes."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind == 1:
            del data[at : at + random.choice((1, 2, 40, 10**6))]
        elif kind == 2:
            data[at:at] = bytes(random.randrange(256) for _ in range(random.randint(1, 9)))
        elif kind == 3:
            data[at:at] = random.choice(TEXTS).encode("utf-8", "surrogatepass")
        elif kind == 4:
            other = random.randrange(len(data) + 1)
            data[at:at] = data[other : other + 30]
        elif data:
            data[at % len(data)] ^= 1 << random.randrange(8)
    return bytes(data)
