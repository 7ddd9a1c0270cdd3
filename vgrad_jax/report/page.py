"""A sweep's report in a folder: the page, its figures and its numbers."""

import base64
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.presets import STUDIES
from vgrad_jax.report.figures import all_figures
from vgrad_jax.report.findings import Findings, find
from vgrad_jax.report.tables import COLUMNS, as_dict, rows
from vgrad_jax.sweeps.study import arms_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = ["write_report"]

TALLEST = 1200
"""Pixels of a figure that is shown without being asked for: those of many arms are taller."""


def write_report(results: "xarray.Dataset", folder: str | Path) -> Findings:
    """Write `index.html`, `figures/*.png` and `summary.json` into a folder, in place of earlier ones.

    Args:
        results: from `vgrad_jax.sweep` or `vgrad_jax.open_results`.
        folder: made where it is missing.

    Returns:
        What was found, as on the page.

    Raises:
        InputError: the folder cannot be written, or an arm has no finished run.
    """
    findings = find(results)
    folder = Path(folder)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        figures = []
        for name, caption, figure in all_figures(results, findings.summaries):
            image = _png(figure)
            (folder / "figures" / f"{name}.png").write_bytes(image)
            figures.append(_for_page(name, caption, image))
        (folder / "summary.json").write_text(json.dumps(as_dict(findings), indent=2) + "\n")
        (folder / "index.html").write_text(_page(results, findings, figures), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the report into {str(folder)!r}: {error.strerror or error}") from None
    return findings


def _page(results: "xarray.Dataset", findings: Findings, figures: list[dict[str, Any]]) -> str:
    from jinja2 import Environment, StrictUndefined

    study = json.loads(results.attrs["study"])
    arms = arms_of(results)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("vgrad_jax.report").joinpath("page.html").read_text(encoding="utf-8"))
    num_seeds = results.sizes["seed"]
    missing = int((~results["completed"]).sum())
    return template.render(
        title=f"{len(arms)} networks, {num_seeds} seeds each",
        question=(
            "Which of these networks learns, how often, how fast, and what does its gradient look like on the way? "
            "Every number below is over seeds: each has its own initial weights and its own order of the data."
        ),
        findings=findings,
        incomplete=f"{missing} of {results['completed'].size} runs are still missing." if missing else "",
        columns=COLUMNS,
        rows=rows(findings.summaries),
        figures=figures,
        how=_how(arms, num_seeds),
        command=_command(arms, num_seeds, study["seed"]),
        arms=json.dumps(study["arms"], indent=2),
        versions=json.dumps(json.loads(results.attrs["versions"]), indent=2),
    )


def _how(arms: dict[str, Experiment], num_seeds: int) -> str:
    first = next(iter(arms.values()))
    training = first.training
    return (
        f"Seeds 0 to {num_seeds - 1} of each arm, {training.epochs} epochs, recorded at initialisation and then every "
        f"{'epoch' if first.recording.every == 1 else f'{first.recording.every} epochs'}. Losses, accuracies and "
        f"gradients are those of the full training and test sets with the parameters at that moment. A run converges "
        f"when its accuracy on all training rows reaches {training.threshold:.0%}; one that does not within the budget "
        f"is censored there, not dropped. Seed k of every arm has the same random key, so arms are paired by seed."
    )


def _command(arms: dict[str, Experiment], num_seeds: int, seed: int) -> str:
    epochs = next(iter(arms.values())).training.epochs
    for name, study in STUDIES.items():
        known = study.make(epochs=epochs)
        if all(known.get(arm) == experiment for arm, experiment in arms.items()):
            chosen = "" if list(arms) == list(known) else "".join(f" --arm {arm}" for arm in arms)
            return f"vgrad sweep --study {name}{chosen} --seeds {num_seeds} --epochs {epochs} --study-seed {seed}"
    return (
        "import json, vgrad_jax as vg\n"
        "# ARMS: the text under 'The arms in full'\n"
        "arms = {name: vg.Experiment.from_dict(values) for name, values in json.loads(ARMS).items()}\n"
        f"vg.sweep(arms, {num_seeds}, seed={seed}, store='results.zarr')"
    )


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _for_page(name: str, caption: str, image: bytes) -> dict[str, Any]:
    # A PNG's width and height stand at bytes 16 to 24.
    width, height = (int.from_bytes(image[start : start + 4], "big") for start in (16, 20))
    return {
        "name": name,
        "caption": caption,
        "png": base64.b64encode(image).decode(),
        "width": width,
        "height": height,
        "folded": height > TALLEST,
    }
