"""A sweep's report in a folder: the page, its figures and its numbers."""

import base64
import io
import json
import warnings
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgrad_jax.diagnosis import Diagnosis
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import STUDIES
from vgrad_jax.report.explorer import explorer_data
from vgrad_jax.report.exports import table_files
from vgrad_jax.report.figures import DRAWN, all_figures
from vgrad_jax.report.files import write_files
from vgrad_jax.report.findings import Findings, find
from vgrad_jax.report.tables import COLUMNS, PAIR_COLUMNS, pair_rows, rows
from vgrad_jax.report.verdict import MOST_SEEDS
from vgrad_jax.results.reading import arms_of
from vgrad_jax.statistics.sequential import missing_runs, precision_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = ["write_report"]

MOST_PAIRS = 66
"""On the page, those of twelve arms; more are in `tables/pairs.csv` only."""
TALLEST = 1200
"""Pixels of a figure that is shown without being asked for: those of many arms are taller."""


def write_report(results: "xarray.Dataset", folder: str | Path) -> Findings:
    """Write `index.html`, `figures/*.png` and `tables/` (CSV, JSON, LaTeX) into a folder, in place of earlier ones.

    Args:
        results: from `vgrad_jax.sweep` or `vgrad_jax.open_results`.
        folder: made where it is missing.

    Returns:
        What was found, as on the page.

    Raises:
        InputError: the folder cannot be written, a file there is a symbolic link or not a report's, or an arm has no
            finished run.
    """
    findings = find(results)
    figures, written = [], {}
    for name, caption, figure in all_figures(results, findings):
        image = _png(figure)
        written[f"figures/{name}.png"] = image
        figures.append(_for_page(name, caption, image))
    written |= {f"tables/{name}": content for name, content in table_files(findings).items()}
    write_files(Path(folder), {**written, "index.html": _page(results, findings, figures).encode()})
    return findings


def _page(results: "xarray.Dataset", findings: Findings, figures: list[dict[str, Any]]) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    study = json.loads(results.attrs["study"])
    arms = arms_of(results)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_text("page.html"))
    num_seeds = results.sizes["seed"]
    missing = missing_runs(results)
    return template.render(
        title=_title(findings),
        question=(
            "Which of these networks learns, how often, how fast, and what does its gradient look like on the way? "
            "Every number below is over seeds: each has its own initial weights and its own order of the data."
        ),
        findings=findings,
        incomplete=f"{missing} of {results['completed'].size} runs are still missing." if missing else "",
        columns=COLUMNS,
        rows=rows(findings.summaries),
        pair_columns=PAIR_COLUMNS,
        pairs=pair_rows(findings.pairs) if len(findings.pairs) <= MOST_PAIRS else [],
        verdict_seeds=MOST_SEEDS,
        verdicts=[_verdict(arm, diagnosis) for arm, diagnosis in findings.verdicts.items()],
        figures=figures,
        # "<" could end the element that holds them.
        explorer=Markup(json.dumps(explorer_data(results), separators=(",", ":")).replace("<", "\\u003c")),
        script=Markup(_text("explorer.js")),
        how=_how(arms, num_seeds, precision_of(results)),
        command=_command(arms, num_seeds, study["seed"], precision_of(results)),
        arms=json.dumps(study["arms"], indent=2),
        versions=json.dumps(json.loads(results.attrs["versions"]), indent=2),
    )


def _title(findings: Findings) -> str:
    counts = [summary.n for summary in findings.summaries]
    seeds = f"{counts[0]} seeds each" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} seeds each"
    return f"{len(counts)} networks, {seeds}"


def _text(name: str) -> str:
    return files("vgrad_jax.report").joinpath(name).read_text(encoding="utf-8")


def _verdict(arm: str, diagnosis: Diagnosis) -> dict[str, Any]:
    seeds = ", ".join(f"{status} {count}" for status, count in diagnosis.seeds.items())
    own = [finding for finding in diagnosis.findings if finding.status == diagnosis.status]
    unclear = "The gradient shows no fault, and the loss does not fall: the reason is not in what was recorded."
    nothing = unclear if diagnosis.status == "unclear" else "Nothing speaks against it."
    return {"arm": arm, "status": diagnosis.status, "seeds": f"seeds: {seeds}", "findings": own, "nothing": nothing}


def _how(arms: dict[str, Experiment], num_seeds: int, precision: float | None) -> str:
    first = next(iter(arms.values()))
    training = first.training
    early = "" if precision is None else f", or fewer where a share is known to {100 * precision:g} points before"
    return (
        f"Seeds 0 to {num_seeds - 1} of each arm{early}; {training.epochs} epochs, recorded at initialisation and then "
        f"every {'epoch' if first.recording.every == 1 else f'{first.recording.every} epochs'}. Losses, accuracies and "
        f"gradients are those of the full training and test sets with the parameters at that moment. A run converges "
        f"when its accuracy on all training rows reaches {training.threshold:.0%}; one that does not within the budget "
        f"is censored there, not dropped. Seed k of every arm has the same random key, so arms are paired by seed."
    )


def _command(arms: dict[str, Experiment], num_seeds: int, seed: int, precision: float | None) -> str:
    epochs = next(iter(arms.values())).training.epochs
    for name, study in STUDIES.items():
        known = study.make(epochs=epochs)
        if all(known.get(arm) == experiment for arm, experiment in arms.items()):
            chosen = "" if list(arms) == list(known) else "".join(f" --arm {arm}" for arm in arms)
            stop = "" if precision is None else f" --precision {precision:g}"
            return f"vgrad sweep --study {name}{chosen} --seeds {num_seeds} --epochs {epochs} --study-seed {seed}{stop}"
    return (
        "import json, vgrad_jax as vg\n"
        "# ARMS: the text under 'The arms in full'\n"
        "arms = {name: vg.Experiment.from_dict(values) for name, values in json.loads(ARMS).items()}\n"
        f"vg.sweep(arms, {num_seeds}, seed={seed}, precision={precision}, store='results.zarr')"
    )


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name may hold signs that Matplotlib's font lacks, such as an emoji; the figure has a box in their place.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _for_page(name: str, caption: str, image: bytes) -> dict[str, Any]:
    # A PNG's width and height stand at bytes 16 to 24.
    width, height = (int.from_bytes(image[start : start + 4], "big") for start in (16, 20))
    return {
        "name": name,
        "caption": caption,
        "drawn": DRAWN[name],
        "png": base64.b64encode(image).decode(),
        "width": width,
        "height": height,
        "folded": height > TALLEST,
    }
