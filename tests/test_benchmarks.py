"""What the benchmarks' tables are made of; their own folder runs the scripts, at the smallest size."""

import json

import pytest

from benchmarks import tables, work
from benchmarks.cases import SIZES, Case, cases

MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gib": 8,
    "device": "cpu: cpu",
    "python": "3.11",
    "packages": {"jax": "0.10"},
}


def results(path, size, day, entries):
    content = {
        "machine_info": MACHINE,
        "commit_info": {"id": "0123456789abcdef"},
        "datetime": f"2026-01-{day:02}T00:00:00",
        "size": size,
        "benchmarks": entries,
    }
    path.write_text(json.dumps(content))


def scaling(test, kind, rate):
    info = {"kind": kind, "engine": "plain", "seeds_per_second": {"1": rate}, "efficiency": {"1": 1.0}}
    return {"name": f"test_{test}[case]", "extra_info": info}


def test_the_tables_show_the_newest_of_the_largest_size(tmp_path):
    results(tmp_path / "a.json", "full", 1, [scaling("workers", "threads", 10.0), scaling("cluster", "Dask", 20.0)])
    results(tmp_path / "b.json", "full", 2, [scaling("workers", "threads", 30.0), scaling("cluster", "Dask", 40.0)])
    results(tmp_path / "c.json", "short", 3, [scaling("workers", "threads", 50.0)])
    shown = tables.as_markdown(tmp_path)
    assert "| threads | plain | 1 | 30.0 | 100% |" in shown
    assert "| Dask | plain | 1 | 40.0 | 100% |" in shown
    assert "10.0" not in shown
    assert "50.0" not in shown
    assert "commit 0123456" in shown


def test_the_readme_shows_the_results_that_are_there():
    text = (tables.FOLDER / "README.md").read_text()
    assert text.partition(tables.BEGIN)[2].partition(tables.END)[0].strip() == tables.as_markdown().strip()


def test_the_readmes_figures_are_those_that_are_drawn(tmp_path):
    drawn = tables.draw(tmp_path)
    assert drawn
    assert {path.name for path in drawn} == {path.name for path in (tables.FOLDER / "figures").iterdir()}
    text = (tables.FOLDER / "README.md").read_text()
    assert all(f"(figures/{path.name})" in text for path in drawn)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("question", ["train_step", "seeds", "peers", "floor", "scaling"])
def test_every_case_can_be_run(question, size):
    grid = cases(question, size)
    assert grid
    assert len({case.name for case in grid}) == len(grid)
    for case in grid:
        assert case.seeds * case.epochs * case.rounds > 0
        assert case.experiment().training.epochs == case.epochs


def test_the_arithmetic_of_a_network_counted_by_hand():
    # 2 x 3 + 3 x 3 + 3 x 1 weights; 500 rows, 4 epochs; records after 0, 2 and 4 of them, and 500 test rows in each.
    case = Case("by hand", width=3, depth=2, epochs=4)
    assert work.multiply_adds(case, every=2) == 18 * (3 * 500 * 4 + (3 * 500 + 500) * 3)


def test_other_work_is_not_the_same_work():
    work.assert_same_work([0.9] * 30 + [0.5] * 10, [0.9] * 28 + [0.5] * 12, threshold=0.8)
    with pytest.raises(AssertionError):
        work.assert_same_work([0.9] * 40, [0.5] * 40, threshold=0.8)
    with pytest.raises(AssertionError):
        work.assert_same_work([0.95] * 40, [0.81] * 40, threshold=0.8)
