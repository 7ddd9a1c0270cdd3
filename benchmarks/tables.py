"""Make the tables and figures of `benchmarks/README.md` from the results: `python -m benchmarks.tables`."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import enough_seeds, seeds_a_second

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

Entry = dict[str, Any]
Row = Sequence[str]


def latest(folder: Path = FOLDER / "results") -> list[dict[str, Any]]:
    """Return the newest results of each question and machine, at the largest size that was run."""
    order = ("smallest", "short", "full")
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        results = json.loads(path.read_text())
        machine = results["machine_info"]
        for entry in results["benchmarks"]:
            question = _question(entry)
            key = (machine["device"] + machine["cpu"], question)
            group = newest.get(key)
            rank = (order.index(results["size"]), results["datetime"])
            if group is None or rank >= group["rank"]:
                if group is None or rank != group["rank"]:
                    newest[key] = group = {**results, "rank": rank, "question": question, "entries": []}
                group["entries"].append(entry["extra_info"])
    return sorted(newest.values(), key=lambda results: (results["machine_info"]["cpu"], results["question"]))


def _question(entry: Entry) -> str:
    test = entry["name"].partition("[")[0].removeprefix("test_")
    return "scaling" if test in ("workers", "devices", "cluster") else test


def as_markdown(folder: Path = FOLDER / "results") -> str:
    """Return all tables, with a heading for each machine and question."""
    return "\n".join(_lines(latest(folder)))


def of_question(question: str, folder: Path = FOLDER / "results") -> str:
    """Return the tables of one question."""
    return "\n".join(_lines([results for results in latest(folder) if results["question"] == question]))


def _lines(groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    for results in groups:
        machine, packages = results["machine_info"], results["machine_info"]["packages"]
        title, note, header, rows = TABLES[results["question"]]
        yield f"### {title}"
        yield ""
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        commit = (results["commit_info"]["id"] or "unknown")[:7]
        commit += " and changes since" if results["commit_info"].get("dirty") else ""
        yield (
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['device']}, Python "
            f"{machine['python']}, {versions}; commit {commit}, {results['datetime'][:10]}, size "
            f"`{results['size']}`. {note}"
        )
        yield ""
        if _has_figure(results):
            yield f"![Left: seeds a second by number; right: arithmetic by network](figures/{_figure_name(results)})"
            yield ""
        yield f"| {' | '.join(header)} |"
        yield f"|{'---|' * len(header)}"
        for entry in results["entries"]:
            for row in rows(entry):
                yield f"| {' | '.join(row)} |"
        yield ""
        if results["question"] == "lanes":
            mean, least = geometric_mean(results["entries"]), min(entry["times_vmap"] for entry in results["entries"])
            yield f"Geometric mean of the factors over `jit(vmap(f))`: {mean:.1f}; the least is {least:.1f}."
            yield ""


def _train_step(entry: Entry) -> Iterator[Row]:
    step = entry["step_microseconds"]
    yield (
        entry["case"],
        entry["engine"],
        f"{entry['compile_seconds']:.1f}",
        f"{step['off']:.2f}",
        f"{step['every epoch']:.2f}",
        f"{entry['recording_share']:.0%}",
    )


def _seeds(entry: Entry) -> Iterator[Row]:
    for engine in ("plain", "lanes"):
        if engine in entry:
            result = entry[engine]
            yield (
                entry["case"],
                str(entry["epochs"]),
                engine,
                f"{result['seeds_per_second']:.1f}",
                f"{result['compile_seconds']:.1f}" if result["compile_seconds"] > 1 else "as above",
                f"{result['times_plain']:.1f}" if result["times_plain"] else "",
                f"{result['gflops']:.1f}",
                f"{result['share_of_peak']:.0%}" if "share_of_peak" in result else "",
            )


def _peers(entry: Entry) -> Iterator[Row]:
    for name, result in sorted(entry["peers"].items(), key=lambda item: item[1]["run_milliseconds"]):
        low, high = result["share_interval"]
        yield (
            name,
            f"{result['run_milliseconds'] * 500 / entry['epochs']:,.0f}",
            f"{result['times_ours']:.1f}",
            f"{result['share_converged']:.0%} [{low:.0%}, {high:.0%}]",
            str(result["n"]),
        )


def _floor(entry: Entry) -> Iterator[Row]:
    milliseconds = {name: value * 500 / entry["epochs"] for name, value in entry["run_milliseconds"].items()}
    rows = {
        "`jit(vmap(scan))` by hand, with `jax.random.permutation` and optax, complete": (
            "by hand",
            f"{entry.get('times_by_hand', 0):.1f} x the sweep",
        ),
        "the engine `plain`, `jit(vmap(train))`, complete": ("plain", f"{entry['times_plain']:.1f} x the sweep"),
        f"the sweep ({entry['engine']}), complete": ("complete", f"{entry['times_the_floor']:.1f} x the kernel"),
        "the sweep, convergence followed, only the last epoch recorded": (
            "not recorded",
            f"recording is {entry['recording_share']:.0%} of the complete study",
        ),
        "shuffling alone": ("shuffling", f"{entry['shuffling_share']:.0%} of the complete study"),
        "the kernel with the arithmetic of the records": (
            "kernel, complete",
            f"{entry['complete_floor_times_plain']:.1f} x plain's speed; the sweep takes "
            f"{entry['times_the_complete_floor']:.1f} x its time",
        ),
        "the kernel, training only": (
            "kernel",
            f"{entry['kernel_gflops']:.0f} of {entry['peak_gflops']:.0f} GFLOP/s in matrix products",
        ),
    }
    for title, (name, remark) in rows.items():
        if name not in milliseconds:  # Older results lack this row.
            continue
        yield title, f"{milliseconds[name]:.1f}", remark


def _scaling(entry: Entry) -> Iterator[Row]:
    for count, rate in entry["seeds_per_second"].items():
        yield entry["kind"], entry["engine"], count, f"{rate:.1f}", f"{entry['efficiency'][count]:.0%}"


def _recorder(entry: Entry) -> Iterator[Row]:
    for name, share in entry["of_a_step"].items():
        yield entry["case"], name, f"{entry['ms_per_step'][name]:.2f}", f"{share:+.1%}"


def _lanes(entry: Entry) -> Iterator[Row]:
    milliseconds, seconds = entry["milliseconds"], entry["compile_seconds"]
    yield (
        entry["workload"],
        f"{entry['examples']:,}",
        f"{entry['share_native']:.0%}",
        f"{milliseconds['lanes']:,.1f}",
        f"{milliseconds['vmap']:,.1f}",
        f"{entry['times_vmap']:.1f}",
        f"{entry['times_map']:.1f}" if entry["times_map"] else "",
        f"{entry['times_processes']:.1f}" if entry.get("times_processes") else "",
        f"{seconds['lanes']:.1f}",
        f"{seconds['vmap']:.1f}",
    )


def geometric_mean(entries: Sequence[Entry]) -> float:
    """Return the mean factor by which `lanes` is faster than `jit(vmap(f))`."""
    return math.exp(sum(math.log(entry["times_vmap"]) for entry in entries) / len(entries))


TABLES: dict[str, tuple[str, str, Row, Callable[[Entry], Iterator[Row]]]] = {
    "train_step": (
        "The train step",
        "Microseconds for each step and seed, one chunk at a time. With recording off convergence is still followed: a "
        "forward pass over the training rows after every epoch.",
        ("case", "engine", "compile, s", "recording off", "every epoch", "recording's share"),
        _train_step,
    ),
    "seeds": (
        "Seeds a second",
        "Every epoch recorded; matrix products' arithmetic against the cores' measured peak.",
        ("case", "epochs", "engine", "seeds/s", "compile, s", "times plain", "GFLOP/s", "of peak"),
        _seeds,
    ),
    "peers": (
        "Other tools",
        "Milliseconds for a run of 500 epochs, scaled from the epochs that were run; the share is of runs at or above "
        "80 % training accuracy at the end, with Wilson's 95 % interval.",
        ("tool", "ms/run", "times our fastest", "share converged", "n"),
        _peers,
    ),
    "floor": (
        "The floor",
        "Milliseconds for a run of 500 epochs on all cores.",
        ("program", "ms/run", "remark"),
        _floor,
    ),
    "scaling": (
        "Scaling",
        "Efficiency is the speed-up over a single worker, divided by the number of workers.",
        ("workers", "engine", "number", "seeds/s", "efficiency"),
        _scaling,
    ),
    "recorder": (
        "The recorder's cost",
        "Additional time of a step with `vgrad_jax.record` in its optimiser.",
        ("network", "recording", "step, ms", "longer by"),
        _recorder,
    ),
    "lanes": (
        "Small programs",
        "All cores; `lanes` and `vmap` are compiled by `jax.jit`. Native is the predicted share of the time. Factors "
        "say how many times as fast `lanes` is.",
        (
            "workload",
            "examples",
            "native",
            "lanes, ms",
            "vmap, ms",
            "times vmap",
            "times lax.map",
            "times a process a core",
            "lanes compiles, s",
            "vmap compiles, s",
        ),
        _lanes,
    ),
}
"""Title, note, header, and function from an entry to rows, by question."""


def _has_figure(results: dict[str, Any]) -> bool:
    return results["question"] == "seeds" and enough_seeds(results["entries"])


def _figure_name(results: dict[str, Any]) -> str:
    return f"seeds-{'-'.join(re.findall('[a-z0-9]+', _measured_on(results).lower()))}.png"


def _measured_on(results: dict[str, Any]) -> str:
    """Return the name of the GPU, or of the processor with its cores."""
    machine = results["machine_info"]
    platform, _, device = machine["device"].partition(": ")
    return f"{machine['cpu']}, {machine['cores']} cores" if platform == "cpu" else device


def draw(folder: Path = FOLDER / "figures", results: Path = FOLDER / "results") -> list[Path]:
    """Write the figures that the README shows; return their paths."""
    folder.mkdir(exist_ok=True)
    drawn = []
    for group in latest(results):
        if _has_figure(group):
            drawn.append(folder / _figure_name(group))
            seeds_a_second(group["entries"], _measured_on(group)).savefig(drawn[-1])
    return drawn


def write(path: Path = FOLDER / "README.md") -> None:
    """Replace the tables in the README, and draw its figures."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{as_markdown()}{END}{after}")
    draw()


if __name__ == "__main__":
    write()
