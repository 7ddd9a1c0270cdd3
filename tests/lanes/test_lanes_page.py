"""The page on `lanes` has the operations and the benchmark's results that there are, and its example runs."""

import importlib.util
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "lanes.md"


def test_the_tables_are_current():
    specification = importlib.util.spec_from_file_location("lanes_tables", PAGE.parent / "lanes_tables.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    text = PAGE.read_text()
    assert "`dot_general`" in text
    assert module.filled(text) == text


def test_the_example_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    assert "native: 100%" in capsys.readouterr().out
