"""Figures of a sweep: each a function of the results that returns a matplotlib `Figure`."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vgrad_jax.report.predictions import predictions
from vgrad_jax.statistics.published import FIRST_EPOCH, SECOND_EPOCH, first_layer_change, placements
from vgrad_jax.statistics.streaming import record_slices
from vgrad_jax.statistics.summary import ArmSummary, completed_seeds
from vgrad_jax.sweeps.study import arms_of
from vgrad_jax.theory.prediction import Prediction

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vgrad_jax.sweeps.speed import Speed

__all__ = [
    "accuracy_bands",
    "accuracy_curves",
    "all_figures",
    "final_accuracy",
    "gradient_heatmap",
    "gradient_profiles",
    "overview",
    "share_converged",
    "speed_bars",
    "weight_change",
]

# Okabe and Ito's palette: told apart by the colour-blind; every line also differs in dash or place.
BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#555555", "#009E73"
BAND = 0.25
MOST_DOTS = 2000
"""Of an arm; more of them hide each other."""


def share_converged(summaries: Sequence[ArmSummary]) -> "Figure":
    """Share of runs that converge, with 95 % intervals, one line an arm."""
    figure = _figure(7, 0.42 * len(summaries) + 1.1)
    _draw_shares(figure.subplots(), summaries)
    return figure


def accuracy_bands(results: "xarray.Dataset") -> "Figure":
    """Training accuracy over epochs: median, central 50 % and 90 % of seeds, and one seed alone."""
    arms = _arms(results)
    figure, panels = _panels(arms, "training accuracy", "epoch")
    for arm, axes in zip(arms, panels, strict=True):
        _draw_accuracy(axes, completed_seeds(results, arm))
    panels[0].legend(loc="upper left", fontsize=7, frameon=False)
    return figure


def gradient_profiles(results: "xarray.Dataset") -> "Figure":
    """Size of the gradient by layer, first and last: median and central 90 % of seeds; and what theory predicts."""
    arms, predicted = _arms(results), predictions(results)
    ends = {arm: [_gradients(results, arm).isel(record=record).values for record in (0, -1)] for arm in arms}
    floor = min((float(end[np.isfinite(end)].min(initial=0.0)) for pair in ends.values() for end in pair), default=0.0)
    figure, panels = _panels(arms, "gradient, log10 RMS", "layer (0 is the input side)")
    for arm, axes in zip(arms, panels, strict=True):
        for end, colour, dash, label in zip(
            ends[arm], (BLUE, ORANGE), ("o-", "s--"), ("initialisation", "last epoch"), strict=True
        ):
            _draw_profile(axes, end, floor, colour, dash, label)
        _draw_prediction(axes, predicted[arm])
        axes.locator_params(axis="x", integer=True)
    _one_legend(figure, panels)
    return figure


def gradient_heatmap(results: "xarray.Dataset") -> "Figure":
    """Depth against time: the median gradient over seeds, hatched where most seeds have none at all."""
    arms = _arms(results)
    medians = {
        arm: np.concatenate([_quantile(values, 0.5) for values in record_slices(_gradients(results, arm))])
        for arm in arms
    }
    finite = np.concatenate([values[np.isfinite(values)] for values in medians.values()])
    low, high = (math.floor(finite.min()), math.floor(finite.max()) + 1) if len(finite) else (-1, 0)
    figure, panels = _panels(arms, "layer (0 is the input side)", "epoch", share_y=False)
    epoch = results["epoch"].values
    image = None
    for arm, axes in zip(arms, panels, strict=True):
        values = medians[arm]
        extent = (epoch[0], epoch[-1], values.shape[1] - 0.5, -0.5)
        axes.set_facecolor("white")
        axes.patch.set(hatch="xxx", edgecolor="#999999")
        shown = np.ma.masked_invalid(values.T)
        image = axes.imshow(
            shown, aspect="auto", extent=extent, vmin=low, vmax=high, cmap="viridis", interpolation="none"
        )
        axes.set_yticks(range(values.shape[1]))
    if image is not None:
        figure.colorbar(image, ax=panels, label="gradient, log10 RMS (median over seeds)", shrink=0.8)
    figure.text(0.01, -0.02, "hatched: exactly zero in most seeds, or not finite in any", fontsize=8)
    return figure


def final_accuracy(results: "xarray.Dataset") -> "Figure":
    """Distribution of the test accuracy after the last epoch, and the article's own run."""
    published = {p.arm: p.published for p in placements(results) if "accuracy" in p.quantity}
    values = {arm: completed_seeds(results, arm)["test_accuracy"].isel(record=-1).values for arm in _arms(results)}
    return _strips(values, published, "test accuracy after the last epoch", log=False)


def weight_change(results: "xarray.Dataset") -> "Figure | None":
    """How far the first layer's weights move from epoch 50 to 100, the article's evidence; None where not kept."""
    changes = {arm: first_layer_change(results, arm) for arm in _arms(results)}
    values = {arm: change for arm, change in changes.items() if change is not None}
    if not values:
        return None
    published = {p.arm: p.published for p in placements(results) if "change" in p.quantity}
    label = f"mean absolute change of the first layer's weights, epoch {FIRST_EPOCH} to {SECOND_EPOCH}"
    return _strips(values, published, label, log=True)


def overview(results: "xarray.Dataset", summaries: Sequence[ArmSummary]) -> "Figure":
    """The study in one picture: who learns, and the gradient each arm starts with."""
    figure = _figure(12, 0.42 * len(summaries) + 1.6)
    left, right = figure.subplots(1, 2)
    _draw_shares(left, summaries)
    marks = "os^Dv<>pP*"
    for index, summary in enumerate(summaries):
        profile = np.asarray(summary.initial_gradient_log10_rms)
        colour = _arm_colour(summary.arm)
        dash = ("-", "--", ":", "-.")[index // 2 % 4]
        label = summary.arm if np.isfinite(profile).all() else f"{summary.arm} (exactly zero where missing)"
        shown = np.where(np.isfinite(profile), profile, np.nan)
        # Marks and dashes differ too: colour says only which activation it is.
        right.plot(shown, marks[index % len(marks)] + dash, color=colour, label=label, markersize=5, linewidth=1.2)
    right.set(xlabel="layer (0 is the input side)", ylabel="gradient at initialisation\nlog10 RMS, median over seeds")
    right.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.locator_params(axis="x", integer=True)
    return figure


def accuracy_curves(epoch: Sequence[int], train: Sequence[float], test: Sequence[float], title: str) -> "Figure":
    """One run's accuracy over epochs: the article's own figure."""
    figure = _figure(6, 3.6)
    axes = figure.subplots()
    axes.plot(epoch, train, color=BLUE, label="train")
    axes.plot(epoch, test, "--", color=ORANGE, label="test")
    axes.set(xlabel="epoch", ylabel="accuracy", title=title)
    axes.legend(frameon=False)
    return figure


def speed_bars(speeds: "Sequence[Speed]", title: str) -> "Figure":
    """Wall time of a whole training for each way of doing it, on a log scale."""
    figure = _figure(7, 0.5 * len(speeds) + 1.2)
    axes = figure.subplots()
    values = [speed.run_milliseconds for speed in speeds]
    axes.barh(range(len(speeds)), values, color=BLUE, height=0.6)
    for place, speed in enumerate(speeds):
        faster = values[0] / speed.run_milliseconds
        note = f"{speed.run_milliseconds:,.0f} ms" + (f", {faster:.2g} times as fast" if place else "")
        axes.annotate(note, (speed.run_milliseconds, place), (5, 0), textcoords="offset points", va="center", size=9)
    axes.set_yticks(range(len(speeds)), [speed.name for speed in speeds])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3, max(values) * 20)
    axes.set_xlabel("wall time of one training, ms")
    axes.set_title(title, fontsize=10)
    return figure


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _panels(arms: Sequence[str], y: str, x: str, *, share_y: bool = True) -> "tuple[Figure, list[Axes]]":
    columns = min(len(arms), 4)
    lines = math.ceil(len(arms) / columns)
    figure = _figure(2.6 * columns + 0.8, 2.1 * lines + 0.4)
    grid = figure.subplots(lines, columns, sharey=share_y, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    for spare in panels[len(arms) :]:
        spare.remove()
    for arm, axes in zip(arms, panels, strict=False):
        axes.set_title(arm, fontsize=9)
        axes.tick_params(labelsize=8)
    figure.supylabel(y, fontsize=9)
    figure.supxlabel(x, fontsize=9)
    return figure, panels[: len(arms)]


def _draw_shares(axes: "Axes", summaries: Sequence[ArmSummary]) -> None:
    for place, summary in enumerate(summaries):
        value, low, high, n = summary.converged
        axes.plot([low, high], [place, place], color=_arm_colour(summary.arm), linewidth=2)
        axes.plot(value, place, "o", color=_arm_colour(summary.arm))
        axes.text(1.04, place, f"{value:.0%}  n={n}", va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(summaries)), [summary.arm for summary in summaries])
    axes.set_ylim(len(summaries) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("share of runs that converge (95 % Wilson interval)")


def _draw_accuracy(axes: "Axes", runs: "xarray.Dataset") -> None:
    epoch, accuracy = runs["epoch"].values, runs["train_accuracy"]
    shares = [0, 0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = [np.quantile(values, shares, axis=0) for values in record_slices(accuracy)]
    least, low, lower, middle, upper, high = np.concatenate(quantiles, axis=1)
    axes.fill_between(epoch, low, high, color=BLUE, alpha=BAND, linewidth=0, label="central 90 %")
    axes.fill_between(epoch, lower, upper, color=BLUE, alpha=BAND + 0.1, linewidth=0, label="central 50 %")
    axes.plot(epoch, middle, color=BLUE, label="median")
    first = int(runs["seed"].values[0])
    axes.plot(epoch, accuracy[0].values, ":", color=ORANGE, linewidth=1.2, label=f"seed {first} alone")
    axes.set_ylim(min(0.4, float(least.min()) - 0.02), 1)
    axes.text(0.97, 0.05, f"n = {len(accuracy)}", transform=axes.transAxes, ha="right", fontsize=7)


def _draw_profile(axes: "Axes", values: np.ndarray, floor: float, colour: str, dash: str, label: str) -> None:
    low, middle, high = (_quantile(values, share) for share in (0.05, 0.5, 0.95))
    layers = np.arange(values.shape[1])
    # A band that reaches exactly zero goes down as far as anything drawn.
    low = np.where(np.isneginf(low), floor, low)
    axes.fill_between(layers, low, high, where=np.isfinite(high), color=colour, alpha=BAND, linewidth=0)
    axes.plot(layers, np.where(np.isfinite(middle), middle, np.nan), dash, color=colour, markersize=4, label=label)
    zero = np.isneginf(values).any(axis=1).mean()
    if zero:
        place = 0.12 if label == "initialisation" else 0.03
        text = f"{label}: {zero:.0%} of seeds with a zero layer"
        axes.text(0.03, place, text, transform=axes.transAxes, fontsize=6, color=colour)


def _draw_prediction(axes: "Axes", prediction: Prediction) -> None:
    if prediction.log10_rms is not None:
        label = "initialisation, predicted root mean square"
        axes.plot(prediction.log10_rms, "D--", color=GREEN, markersize=3, linewidth=1.2, label=label)
    else:
        text = f"theory {prediction.why_not}"
        axes.text(0.03, 0.94, text, transform=axes.transAxes, fontsize=6, color=GREEN, wrap=True)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """Quantile over the seeds with a number: one of their values, since -inf cannot be averaged."""
    ordered = np.sort(values, axis=0)  # NaN is last
    index = (share * (np.sum(~np.isnan(values), axis=0) - 1)).astype(int)
    return np.take_along_axis(ordered, np.maximum(index, 0)[None], axis=0)[0]


def _gradients(results: "xarray.Dataset", arm: str) -> "xarray.DataArray":
    """`(seed, record, layer)` of the layers that the arm has, not read yet."""
    layers = arms_of(results)[arm].mlp.num_layers
    return completed_seeds(results, arm)["gradient_log10_rms"].isel(layer=slice(layers))


def _strips(values: dict[str, np.ndarray], published: dict[str, float], label: str, *, log: bool) -> "Figure":
    figure = _figure(7, 0.5 * len(values) + 1.2)
    axes = figure.subplots()
    scatter = np.random.default_rng(0)
    for place, (arm, numbers) in enumerate(values.items()):
        shown = numbers[np.isfinite(numbers) & ((numbers > 0) | (not log))]
        height = place + scatter.uniform(-0.25, 0.25, len(shown))
        axes.plot(shown[:MOST_DOTS], height[:MOST_DOTS], ".", color=_arm_colour(arm), alpha=0.45, markersize=4)
        median = np.median(numbers)
        if np.isfinite(median) and (median > 0 or not log):
            axes.plot([median] * 2, [place - 0.36, place + 0.36], color="black", linewidth=1.5)
        left_out = len(numbers) - len(shown)
        note = f"n={len(numbers)}" + (f", {left_out} not shown (zero)" if left_out else "")
        note += f", the first {MOST_DOTS} drawn" if len(shown) > MOST_DOTS else ""
        axes.text(1.01, place, note, va="center", fontsize=7, transform=axes.get_yaxis_transform())
        if arm in published:
            axes.plot(published[arm], place, "D", color="black", markerfacecolor="none", markersize=8)
    if published:
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="the article's one run")
    axes.plot([], [], "|", color="black", markersize=12, label="median")
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2)
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlabel(label)
    if log:
        axes.set_xscale("log")
    return figure


def _one_legend(figure: "Figure", panels: "Sequence[Axes]") -> None:
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)


def _arms(results: "xarray.Dataset") -> list[str]:
    return [str(arm) for arm in results["arm"].values]


def _arm_colour(arm: str) -> str:
    return BLUE if arm.startswith("tanh") else ORANGE if arm.startswith("relu") else GREY


def all_figures(results: "xarray.Dataset", summaries: Sequence[ArmSummary]) -> "Iterator[tuple[str, str, Figure]]":
    """Every figure with its file name and a caption that says what to look for."""
    n = min(summary.n for summary in summaries)
    seeds = f"{n} seeds an arm" if n == max(summary.n for summary in summaries) else f"{n} seeds an arm or more"
    yield (
        "overview",
        f"Who learns, and with what gradient each arm starts ({seeds}). Look for arms that share an activation "
        "(colour) and still end far apart: the activation is not what separates them.",
        overview(results, summaries),
    )
    yield (
        "accuracy",
        "Training accuracy over epochs. The dotted line is what somebody who trains once would have seen; the band is "
        "what they could have seen.",
        accuracy_bands(results),
    )
    yield (
        "gradient_profiles",
        "Size of each layer's gradient, median and central 90 % of seeds. A line that falls towards layer 0 vanishes "
        "towards the input; a band down to the floor has seeds whose layer is dead, a gradient of exactly zero. "
        "Dashed: the root mean square over seeds that theory predicts at initialisation; it lies above the median.",
        gradient_profiles(results),
    )
    yield (
        "gradient_heatmap",
        "Depth against time. Darker is smaller. Small everywhere late in training can simply mean solved; small from "
        "the first epoch with an accuracy that stays flat cannot.",
        gradient_heatmap(results),
    )
    yield (
        "final_accuracy",
        "Test accuracy after the last epoch, one dot a seed. Two clumps in one arm mean that an average would describe "
        "no run at all.",
        final_accuracy(results),
    )
    change = weight_change(results)
    if change is not None:
        yield (
            "weight_change",
            "The article's evidence as a distribution: how far the first layer's weights move from epoch "
            f"{FIRST_EPOCH} to {SECOND_EPOCH}, one dot a seed.",
            change,
        )
