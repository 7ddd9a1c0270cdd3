"""The study beside the page, as a file that can be swept again, and the facts about its data.

results ─► Experiments ─► study.toml
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgrad_jax.data import DataSummary, summary_of
from vgrad_jax.data.description import MADE
from vgrad_jax.errors import InputError
from vgrad_jax.experiment import Experiment
from vgrad_jax.report.study import Study
from vgrad_jax.results.reading import data_summaries, study_seed
from vgrad_jax.studies import study_text
from vgrad_jax.wording import visible

if TYPE_CHECKING:
    import xarray

__all__ = ["STUDY_FILE", "can_be_written", "data_sentences", "data_sentences_of", "stored_title", "study_again"]

STUDY_FILE = "study.toml"
"""Name of the file beside the page."""


def stored_title(folder: Path) -> str:
    """Return the title in the study's file of a folder; empty where there is none."""
    try:
        title = tomllib.loads((folder / STUDY_FILE).read_text(encoding="utf-8")).get("title", "")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ""
    return title if isinstance(title, str) else ""


def study_again(study: Study, folder: Path, title: str) -> str | None:
    """Return the text of the study's file; None where an arm cannot be written down.

    Args:
        study: the study.
        folder: folder of the file, to which the paths of data files are relative.
        title: of the page.
    """
    if len(study.arms) < len(study.names) or not can_be_written(study.arms):
        return None
    arms = {name: _with_paths_from(folder, experiment) for name, experiment in study.arms.items()}
    return study_text(
        arms, title=visible(title), seeds=study.results.sizes["seed"], study_seed=study_seed(study.results)
    )


def can_be_written(arms: Mapping[str, Experiment]) -> bool:
    """Return whether a file can describe all arms: none has its data from arrays or holds a nameless function."""
    try:
        for experiment in arms.values():
            experiment.to_dict()
    except InputError:
        return False
    return all(experiment.data.source != "arrays" for experiment in arms.values())


def data_sentences(results: "xarray.Dataset") -> list[str]:
    """Return the facts about the data of own studies, each once, with the arms that they hold for where they differ."""
    return _sentences(data_summaries(results))


def data_sentences_of(experiments: Mapping[str, Experiment]) -> list[str]:
    """Return the facts about the data of experiments that are not trained yet, as `data_sentences` does."""
    return _sentences(
        {name: summary_of(own.data) for name, own in experiments.items() if own.data.source not in (*MADE, "digits")}
    )


def _sentences(summaries: Mapping[str, DataSummary]) -> list[str]:
    arms: dict[tuple[str, ...], list[str]] = {}
    for arm, summary in summaries.items():
        arms.setdefault(tuple(summary.sentences()), []).append(arm)
    return [
        f"{', '.join(names)}: {sentence}." if len(arms) > 1 else f"{sentence[0].upper()}{sentence[1:]}."
        for sentences, names in arms.items()
        for sentence in sentences
    ]


def _with_paths_from(folder: Path, experiment: Experiment) -> Experiment:
    """Return an experiment whose data files are named relative to a folder, where they are found from here."""
    changed: dict[str, Any] = {
        name: os.path.relpath(path, folder)
        for name in ("path", "test_path")
        if (path := getattr(experiment.data, name)) is not None and Path(path).is_file()
    }
    return replace(experiment, data=replace(experiment.data, **changed)) if changed else experiment
