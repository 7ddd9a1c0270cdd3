"""Figure beside the table of seeds a second."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vgrad_jax.report.figures.style import BLUE, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENGINES = {"plain": (GREY, "s", "--"), "lanes": (BLUE, "o", "-")}
"""Colour, mark and dash of each engine, by name."""

Entry = dict[str, Any]


def enough_seeds(entries: Sequence[Entry]) -> bool:
    """Return True if the entries have enough numbers of seeds for a curve."""
    return len(_by_number(entries)) > 2


def seeds_a_second(entries: Sequence[Entry], machine: str) -> "Figure":
    """Plot seeds a second against their number on the left, and each network's arithmetic beside the peak on the right.

    Args:
        entries: results of `bench_seeds.py`, one for each case.
        machine: name of the machine, for the title.
    """
    by_number = _by_number(entries)
    most = max(by_number, key=lambda entry: (len(ENGINES.keys() & entry.keys()), entry["seeds"]))
    networks = [most, *(entry for entry in entries if entry not in by_number)]
    figure = new_figure(10, max(0.55 * len(networks), 3) + 0.8)
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    _against_number(left, by_number)
    _arithmetic(right, networks)
    figure.suptitle(machine, fontsize=10)
    return figure


def _by_number(entries: Sequence[Entry]) -> list[Entry]:
    """Return the cases that differ in their number of seeds only."""
    return [entry for entry in entries if entry["case"].endswith("seeds")]


def _against_number(axes: "Axes", entries: Sequence[Entry]) -> None:
    for engine, (colour, mark, dash) in ENGINES.items():
        points = [(entry["seeds"], result["seeds_per_second"]) for entry, result in _of(engine, entries)]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=mark, linestyle=dash, label=engine)
    numbers = [entry["seeds"] for entry in entries]
    axes.set_xscale("log")
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers], rotation=45, ha="right")
    axes.minorticks_off()
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("seeds trained")
    epochs = sorted({entry["epochs"] for entry in entries})
    axes.set_ylabel(f"seeds/s ({' or '.join(map(str, epochs))} epochs, all recorded)")
    axes.set_title("the article's network", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)


def _arithmetic(axes: "Axes", entries: Sequence[Entry]) -> None:
    height, peak = 0.36, None
    for engine, (colour, _, _) in ENGINES.items():
        for entry, result in _of(engine, entries):
            is_pair = all(other in entry for other in ENGINES)
            position = entries.index(entry) + (height * (0.5 if engine == "lanes" else -0.5) if is_pair else 0)
            axes.barh(position, result["gflops"], height, color=colour)
            share = f" {result['share_of_peak']:.0%}" if "share_of_peak" in result else f" {result['gflops']:.0f}"
            axes.annotate(share, (result["gflops"], position), va="center", fontsize=8)
            if "share_of_peak" in result:
                peak = result["gflops"] / result["share_of_peak"]
    axes.set_yticks(range(len(entries)), [_network(entry) for entry in entries], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("GFLOP/s in matrix products")
    axes.set_title("achieved arithmetic", fontsize=9)
    axes.margins(x=0.15)
    if peak:
        axes.axvline(peak, color="black", linewidth=1)
        axes.annotate("measured peak ", (peak, 0.02), xycoords=("data", "axes fraction"), ha="right", fontsize=8)


def _network(entry: Entry) -> str:
    return f"{entry['depth']} layers of {entry['width']}, {entry['seeds']} seeds"


def _of(engine: str, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    return ((entry, entry[engine]) for entry in entries if engine in entry)
