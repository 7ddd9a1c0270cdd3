"""Page of a prescription: the answer, everything that was tried, and the network to copy."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.nets.mlp import MLP
from vgrad_jax.optimizers import Optimizer
from vgrad_jax.prescription.cabinet import NOT_IN_CABINET
from vgrad_jax.prescription.code import FRAMEWORKS, code_for
from vgrad_jax.prescription.prescription import Prescription, Tried
from vgrad_jax.report.files import write_files
from vgrad_jax.report.section import Block, Chart, Column, Table
from vgrad_jax.report.templates import picture, rendered, today
from vgrad_jax.wording import counted

__all__ = ["described", "write_prescription"]

COLUMNS = (
    Column("change", "what was changed"),
    Column("size", "1 for a number of the optimiser, up to 4 for further parts of the network; pairs add up"),
    Column("converge", "share of the runs that converge"),
    Column("interval", "95 %, for all numbers of seeds together"),
    Column("seeds", "runs until the race ended for it"),
    Column("test score", "mean accuracy on the test rows at the end"),
    Column("what came of it", of_words=True),
)


def write_prescription(answer: Prescription, patient: Experiment, folder: Path) -> list[Path]:
    """Write the page of a prescription, `prescription.json`, and the mended network as `mended.json`.

    Args:
        answer: the prescription.
        patient: the untouched network.
        folder: of the files; files of an earlier page there are replaced.

    Raises:
        InputError: a file cannot be written, or is not a report's.
    """
    from importlib.metadata import version

    plain = json.dumps(answer.to_dict(), indent=2, allow_nan=False)
    page = rendered(
        "prescription.html",
        title=f"Prescription for {patient.data.path or patient.data.source}",
        facts=today(),
        question=f"What mends this network: {described(patient)}, on {patient.data.path or patient.data.source}?",
        answer=list(answer.sentences()),
        figures=[picture(chart) for chart in _charts(answer)],
        blocks=list(_blocks(answer)),
        codes=_codes(answer),
        json=plain,
        version=version("vgrad_jax"),
    )
    files = {"index.html": page.encode(), "prescription.json": plain.encode()}
    mended = None if answer.smallest is None else answer.smallest.experiment
    if mended is not None:
        files["mended.json"] = mended.to_json().encode()
    return write_files(folder, files)


def described(experiment: Experiment) -> str:
    """Return a network and its optimiser in words, with every field that is not at its default.

    >>> described(Experiment(mlp=MLP(hidden=(4,) * 3), optimizer=Optimizer("adam", schedule="cosine", warmup=0.1)))
    '3 hidden layers of 4, tanh, he_uniform; adam with learning rate 0.01, schedule cosine, warmup 0.1'
    """
    mlp, optimizer = experiment.mlp, experiment.optimizer
    alike = len(set(mlp.hidden)) == 1
    layers = f"{counted(len(mlp.hidden), 'hidden layer')} of {mlp.hidden[0]}" if alike else f"hidden {list(mlp.hidden)}"
    activations = dict.fromkeys(_named(activation) for activation in mlp.activations())
    network = [
        layers,
        *activations,
        _named(mlp.kernel_init),
        *_set(mlp, MLP(), ("hidden", "activation", "kernel_init")),
    ]
    rate = [f"learning rate {optimizer.learning_rate:g}", *_set(optimizer, Optimizer(), ("name", "learning_rate"))]
    return f"{', '.join(network)}; {optimizer.name} with {', '.join(rate)}"


def _set(description: Any, default: Any, without: Sequence[str]) -> list[str]:
    """Return the fields that differ from the default, each with its value."""
    values = {name: value for name, value in vars(description).items() if name not in without}
    return [
        f"{name.replace('_', ' ')} {_named(value)}" for name, value in values.items() if value != getattr(default, name)
    ]


def _named(value: Any) -> str:
    return str(getattr(value, "__name__", value))


def _charts(answer: Prescription) -> Iterator[Chart]:
    from vgrad_jax.report.figures.tried import shares_tried

    rows = (answer.untouched, *answer.tried)
    names, shares = [row.name for row in rows], [row.share for row in rows]
    yield Chart(
        "tried",
        "Share of runs that converge, with intervals: the untouched network and every change that was tried.",
        "Blue circles work; orange crosses do not. A wide interval is a change that was dropped early.",
        partial(shares_tried, names, shares, [row.works for row in rows], answer.enough),
    )


def _blocks(answer: Prescription) -> Iterator[Block]:
    rows = [_row(row) for row in (answer.untouched, *answer.tried)]
    yield Block(
        "What was tried",
        "All changes were trained on the same seeds. A change works when enough of its runs converge, and more than of "
        "the untouched network. Each of the two claims (which change is best, and that it works) errs in 5 % of cases "
        "at most. A change is dropped by a limit that is wider than its interval, since its error is divided among all "
        "changes.",
        Table("Changes that were tried", COLUMNS, rows),
    )
    if answer.tried:
        cannot = _shared((f"{row.cannot} Source: {row.source}", row.name) for row in answer.tried if row.cannot)
        yield Block("What a change cannot cure, and its source", items=cannot)
    if answer.left_out:
        left_out = _shared((row.reason, row.name) for row in answer.left_out)
        yield Block("What was not tried", items=left_out)
    yield Block("Not in the cabinet", items=[f"{name}: {reason}." for name, reason in NOT_IN_CABINET.items()])


def _shared(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Return each reason once, after the names of all changes that share it."""
    names: dict[str, list[str]] = {}
    for reason, name in reasons:
        names.setdefault(reason, []).append(name)
    return [f"{', '.join(own)}: {reason}." for reason, own in names.items()]


def _row(row: Tried) -> list[str]:
    value, low, high, n = row.share
    score = "-" if row.score != row.score else f"{row.score:.2f}"
    return [row.name, str(row.size), f"{value:.0%}", f"{low:.0%} to {high:.0%}", str(n), score, row.fate]


def _codes(answer: Prescription) -> list[dict[str, Any]]:
    mended = None if answer.smallest is None else answer.smallest.experiment
    if mended is None:
        return []
    return [{"name": words, "text": _code_or_reason(mended, name)} for name, words in FRAMEWORKS.items()]


def _code_or_reason(experiment: Experiment, framework: str) -> str:
    """Return the code for a framework, or a comment that says what the framework lacks."""
    try:
        return code_for(experiment, framework)
    except InputError as error:
        return f"# {error}"
