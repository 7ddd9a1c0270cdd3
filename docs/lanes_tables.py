"""Make the tables of `docs/lanes.md` from the registry and the benchmark: `python docs/lanes_tables.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import tables  # noqa: E402
from vgrad_jax.lanes.nests.coverage import registered  # noqa: E402

PAGE = ROOT / "docs" / "lanes.md"


def operations() -> str:
    """Return the operations with native code as a table, a row for each kind."""
    kinds: dict[str, list[str]] = {}
    for name, kind in registered().items():
        kinds.setdefault(kind, []).append(f"`{name}`")
    rows = [f"| {kind} | {', '.join(sorted(names))} |" for kind, names in kinds.items()]
    return "\n".join(["| written | primitives |", "|---|---|", *rows])


def bench() -> str:
    """Return the newest results of `benchmarks/bench_lanes.py` as a table."""
    return tables.of_question("lanes").strip()


def filled(text: str) -> str:
    """Return the page with both tables."""
    for name, table in (("operations", operations()), ("bench", bench())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
