"""A sweep's report in a folder: the page, its figures and its numbers."""

import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from vgrad_jax.experiment import Experiment
from vgrad_jax.memory import uncollected
from vgrad_jax.presets import STUDIES
from vgrad_jax.report.again import STUDY_FILE, can_be_written, data_sentences, stored_title, study_again
from vgrad_jax.report.explorer import explorer_data
from vgrad_jax.report.exports import table_files
from vgrad_jax.report.files import write_files
from vgrad_jax.report.merging import merged
from vgrad_jax.report.report import Report
from vgrad_jax.report.study import Study
from vgrad_jax.report.templates import Picture, picture, rendered, text_of, today
from vgrad_jax.results.functions import FunctionLayout
from vgrad_jax.statistics.early_stopping import missing_runs, precision_of
from vgrad_jax.wording import counted

if TYPE_CHECKING:
    import xarray

__all__ = ["write_report"]

MOST_DATA = 3
"""Most data sets that are named under the title."""


def write_report(results: "xarray.Dataset", folder: str | Path, *, title: str = "") -> Report:
    """Write `index.html`, `figures/*.svg` and `tables/` (CSV, JSON, LaTeX) into a folder, in place of earlier ones.

    The report is computed and drawn as a whole before any file is written.

    Args:
        results: from `vgrad_jax.sweep` or `vgrad_jax.open_results`.
        folder: made where it is missing.
        title: of the page; by default that of the study's file in the folder, or else the folder's name.

    Returns:
        The report, as on the page.

    Raises:
        InputError: the folder cannot be written, a file there is a symbolic link or not a report's, or an arm has no
            finished run.
    """
    report = Report(results)
    title = title or stored_title(Path(folder)) or Path(folder).resolve().name
    with uncollected():
        figures = [picture(chart) for chart in report.charts()]
        tables = table_files(report)
    files = merged("figure", ({f"figures/{figure.name}.svg": figure.file} for figure in figures))
    files = {**files, **{f"tables/{name}": content for name, content in tables.items()}}
    study_file = study_again(report.study, Path(folder), title)
    if study_file is not None:
        files[STUDY_FILE] = study_file.encode()
    files["index.html"] = _page(report, figures, list(tables), title).encode()
    write_files(Path(folder), files)
    return report


def _page(report: Report, figures: list[Picture], tables: list[str], title: str) -> str:
    from markupsafe import Markup

    results = report.study.results
    study = json.loads(results.attrs["study"])
    num_seeds = results.sizes["seed"]
    missing = missing_runs(results)
    return rendered(
        "page.html",
        title=title,
        facts=_facts(report.study),
        more_runs=_more_runs(report.study),
        question=_question(report.study),
        report=report,
        tables=tables,
        incomplete=f"{missing} of {counted(results['completed'].size, 'run')} {'is' if missing == 1 else 'are'} still "
        "missing."
        if missing
        else "",
        figures=figures,
        # "<" could end the element that holds them.
        explorer=Markup(json.dumps(explorer_data(results), separators=(",", ":")).replace("<", "\\u003c")),
        script=Markup(text_of("explorer.js")),
        data=data_sentences(results),
        how=_how(report.study, num_seeds, precision_of(results)),
        command=_command(report.study, num_seeds, study["seed"], precision_of(results)),
        arms=json.dumps(_shortened(study["arms"]), indent=2),
        versions=json.dumps(json.loads(results.attrs["versions"]), indent=2),
    )


def _facts(study: Study) -> str:
    """Return what stands under the title: numbers of arms and seeds, the data, and the date of the page."""
    data = dict.fromkeys(Path(own.data.path or own.data.source).name for own in study.arms.values())
    shown = ", ".join(data) if len(data) <= MOST_DATA else f"{len(data)} data sets"
    return " · ".join(filter(None, (_sizes(study), f"data: {shown}" if shown else "", today())))


def _more_runs(study: Study) -> str:
    """Return how any other run is seen, where a command can train it."""
    known = {arm for preset in STUDIES.values() for arm in preset.make(epochs=1)}
    if not set(study.names) <= known:
        return ""
    return f"Any other run is trained before your eyes by: vgrad run --arm {quote(study.names[0])} --seed 99."


def _sizes(study: Study) -> str:
    counts = [summary.n for summary in study.summaries]
    seeds = counted(counts[0], "seed") if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} seeds"
    noun = "arm" if study.functions else "network"
    return f"{counted(len(counts), noun)}, {seeds}{' each' if len(counts) > 1 else ''}"


def _question(study: Study) -> str:
    if not study.functions:
        return (
            "Which of these networks learns, how often, how fast, and what does its gradient look like on the way? "
            "Every number below is over seeds: each has its own initial weights and its own order of the data."
        )
    gradient = ", and what does its gradient look like on the way" if study.with_layers else ""
    question = (
        f"Which of these trainings learns, how often, how fast{gradient}?"
        if study.converging
        else f"How do these functions end{gradient}?"
    )
    return f"{question} Every number below is over seeds: each has a random key of its own."


def _how(study: Study, num_seeds: int, precision: float | None) -> str:
    early = "" if precision is None else f", or fewer where a share is known to {100 * precision:g} points before"
    seeds = f"Seeds 0 to {num_seeds - 1}" if num_seeds > 1 else "Seed 0"
    pairing = "Seed k of every arm has the same random key, so arms are paired by seed."
    experiments = _how_experiments(study.arms) if study.arms else ""
    parts = [_how_function(arm, function) for arm, function in study.functions.items()]
    if experiments and not parts:
        return f"{seeds} of each arm{early}; {experiments} {pairing}"
    if experiments:
        parts.insert(0, f"{', '.join(study.arms)}: {experiments}")
    return " ".join([f"{seeds} of each arm{early}.", *parts, pairing])


def _how_experiments(arms: dict[str, Experiment]) -> str:
    trainings = [experiment.training.epochs for experiment in arms.values()]
    records = {experiment.recording.every for experiment in arms.values()}
    every = min(records)
    epochs = (
        counted(trainings[0], "epoch") if len(set(trainings)) == 1 else f"{min(trainings)} to {max(trainings)} epochs"
    )
    recorded = "epoch" if records == {1} else f"{every} epochs" if len(records) == 1 else "few epochs"
    return (
        f"{epochs}, recorded at initialisation and then every {recorded}. Losses, accuracies and "
        f"gradients are those of the full training and test sets with the parameters at that moment. A run converges "
        f"when its accuracy on all training rows reaches {next(iter(arms.values())).training.threshold:.0%}; a run "
        "that has not by its last epoch is kept, as one that takes longer than that."
    )


def _how_function(arm: str, function: FunctionLayout) -> str:
    if function.criterion is None:
        return f"The arm {arm} is a function of the key, which does not say when a run converges."
    time = "" if function.time is None else f", within {counted(function.time.budget, function.time.unit, form='g')}"
    gradients = "" if function.record is None else " Its gradients are as the recorder in it saw them."
    return f"The arm {arm} is a function of the key; a run converges when {function.criterion}{time}.{gradients}"


def _shortened(arms: dict[str, Any]) -> dict[str, Any]:
    """Return the descriptions of the arms without the text of the functions' programs, which nobody reads."""
    shown = {}
    for name, described in arms.items():
        shown[name] = {key: value for key, value in described.items() if key not in ("program", "coordinates")}
    return shown


def _command(study: Study, num_seeds: int, seed: int, precision: float | None) -> str:
    arms = study.arms
    if len(arms) < len(study.names):
        return (
            "import vgrad_jax as vg\n"
            f"# arms: the mapping of {', '.join(study.names)}, with the same functions\n"
            f"vg.sweep(arms, {num_seeds}, seed={seed}, precision={precision}, store='results.zarr')"
        )
    epochs = next(iter(arms.values())).training.epochs
    stop = "" if precision is None else f" --precision {precision:g}"
    for name, preset in STUDIES.items():
        known = preset.make(epochs=epochs)
        if all(known.get(arm) == experiment for arm, experiment in arms.items()):
            chosen = "" if list(arms) == list(known) else "".join(f" --arm {arm}" for arm in arms)
            return f"vgrad sweep --study {name}{chosen} --seeds {num_seeds} --epochs {epochs} --study-seed {seed}{stop}"
    if can_be_written(arms):
        return f"vgrad sweep {STUDY_FILE} --seeds {num_seeds} --study-seed {seed}{stop}"
    return (
        "import json, vgrad_jax as vg\n"
        "# ARMS: the text under 'The arms in full'\n"
        "arms = {name: vg.Experiment.from_dict(values) for name, values in json.loads(ARMS).items()}\n"
        f"vg.sweep(arms, {num_seeds}, seed={seed}, precision={precision}, store='results.zarr')"
    )
