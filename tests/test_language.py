"""The rules of the project's English that a machine can check: docstrings, comments, and local names.

A docstring or comment is split into sentences by full stops, blank lines, and items of lists. Examples (`>>>`), and
blocks that are indented further than the text around them (formulas, pictures), are not prose and are left out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PENDING: tuple[str, ...] = ()
"""Rooms and modules of `vgrad_jax` that are not rewritten yet."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST_WORDS = 25
"""Largest number of words in a sentence; a text in backticks is one word, and an operator is none."""

NO_SUBJECT = words("What Of That As Whether How In For So At Where When")
"""First words of a clause or of a preposition, where the verb or the noun belongs."""

NO_VERBS = words(
    "A An The This These Those It Its Each Every All Any Some One Two No None Not Only Also "
    "From With Without Over By On To Up Until Before After Between Because If "
    "Mean Number Name Value Density Share Smallest Largest First Last Ready"
)
"""First words of a function's docstring that are no imperatives. `wrong_opening` refuses more by their form."""

NO_NOUNS = words("found place places one what there both whole")
"""Names of variables that do not say which thing they hold."""

SECTIONS = frozenset(("Args:", "Returns:", "Raises:", "Yields:", "Attributes:"))


def modules() -> list[Path]:
    paths = sorted((ROOT / "vgrad_jax").glob("**/*.py"))
    return [path for path in paths if path.relative_to(ROOT / "vgrad_jax").with_suffix("").parts[0] not in PENDING]


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """Yield each owner of a docstring with it: a module, a class, a function, or the assignment of a constant."""
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        for before, statement in zip([node, *body], body, strict=False) if isinstance(body, list) else ():
            text = getattr(statement, "value", None)
            if isinstance(statement, ast.Expr) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield before, text


def is_property(function: ast.AST) -> bool:
    return any("property" in ast.unparse(item) for item in getattr(function, "decorator_list", ()))


def wrong_opening(owner: ast.AST, text: str) -> str | None:
    """Return the first word of a docstring if it is a wrong one.

    No docstring begins with a word of `NO_SUBJECT`. A function's begins with an imperative, as far as its form tells:
    a capitalised word that is not in `NO_VERBS`, does not end in "s" ("Returns", "Rows"), and is not before "of".
    """
    first, second = [*re.split(r"[^\w'`]+", text.strip(), maxsplit=2), ""][:2]
    if first in NO_SUBJECT:
        return first
    if not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef) or is_property(owner):
        return None
    is_third_person_or_plural = first.endswith("s") and not first.endswith("ss")
    is_capitalised = re.fullmatch(r"[A-Z][a-z]+", first) is not None
    is_imperative = first not in NO_VERBS and not is_third_person_or_plural and is_capitalised and second != "of"
    return None if is_imperative else first


def paragraphs(text: str, base: int) -> Iterator[str]:
    """Yield the prose of a docstring: paragraphs and items of lists, without examples, formulas, and pictures.

    Args:
        text: the docstring.
        base: its indent, in spaces.
    """
    lines = text.expandtabs().splitlines()
    prose: list[str] = []
    margin, example = 0, False
    for number, line in enumerate(lines):
        content = line.strip()
        indent = len(line) - len(line.lstrip()) - base if number else 0
        if not content or content.startswith(">>>") or content in SECTIONS:
            yield " ".join(prose)
            prose, example = [], content.startswith(">>>") or (example and bool(content))
            margin = 4 if content in SECTIONS else margin if indent else 0
            continue
        margin = min(margin, indent) if indent < margin else margin
        is_item = content.startswith("- ") or (margin and indent == margin and re.match(r"[\w*`.]+: ", content))
        if is_item:
            yield " ".join(prose)
            prose = []
        if not example and (prose or is_item or indent <= margin):
            prose.append(content)
    yield " ".join(prose)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield each comment with its line; comments on consecutive lines of their own are one text."""
    text, start, last = "", 0, -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or re.match(r"#\s*(type|noqa|pragma|ruff|mypy|!)\b", token.string):
            continue
        alone = token.line.strip().startswith("#")
        if text and not (alone and token.start[0] == last + 1):
            yield start, text
            text = ""
        start = start if text else token.start[0]
        text = f"{text} {token.string.lstrip('# ')}".strip()
        last = token.start[0] if alone else -1
    if text:
        yield start, text


def long_sentences(text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?])[\")`]*\s+", text):
        prose = re.sub(r"`[^`]*`", "code", sentence)
        if sum(any(letter.isalnum() for letter in word) for word in prose.split()) > MOST_WORDS:
            yield sentence


def local_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every name that a function binds: arguments, assignments, targets of loops."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.arg):
                    yield node.lineno, node.arg
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.lineno, node.id


def faults(source: str) -> list[str]:
    """Return a line of text for each place where a module's source breaks a rule."""
    tree = ast.parse(source)
    lines = []
    for owner, text in docstrings(tree):
        word = wrong_opening(owner, text.value)
        if word is not None:
            lines.append(f"line {text.lineno}: a docstring does not begin with {word!r}")
        for paragraph in paragraphs(text.value, text.col_offset):
            lines += [f"line {text.lineno}: more than {MOST_WORDS} words: {s}" for s in long_sentences(paragraph)]
    for line, text in comments(source):
        lines += [f"line {line}: more than {MOST_WORDS} words: {s}" for s in long_sentences(text)]
    names = sorted(set(local_names(tree)))
    return lines + [f"line {line}: a variable is called {name!r}" for line, name in names if name in NO_NOUNS]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_english_of_a_module(path: Path) -> None:
    lines = faults(path.read_text())
    assert not lines, "\n".join([str(path.relative_to(ROOT)), *lines])


LONG = "word " * MOST_WORDS + "more."
SAMPLES = {
    '"""What a module does."""': "'What'",
    'class Step:\n    """How a run steps."""': "'How'",
    'SIZE = 3\n"""Of a block."""': "'Of'",
    'class Step:\n    size: int\n    """In rows."""': "'In'",
    'def f():\n    """Returns a number."""': "'Returns'",
    'def f():\n    """The number of rows."""': "'The'",
    'def f():\n    """`size` rows."""': "'`size`'",
    'class Step:\n    def f(self):\n        """Number of rows."""': "'Number'",
    'def f():\n    """Order of the rows."""': "'Order'",
    'class Step:\n    @property\n    def f(self):\n        """Whether it is a step."""': "'Whether'",
    f'"""Steps.\n\n{LONG}\n"""': "25 words",
    f'def f(x):\n    """Return x.\n\n    Args:\n        x: {LONG}\n    """': "25 words",
    f"x = 1\n# {LONG[:60]}\n# {LONG[60:]}": "25 words",
    f"x = 1  # {LONG}": "25 words",
    "def f():\n    found = 1": "'found'",
    "def f(place):\n    pass": "'place'",
    "def f():\n    return [one for one in range(3)]": "'one'",
    "def f():\n    for there, whole in ():\n        pass": "'whole'",
}
SOUND = f'''
"""Steps of a run.

    run ---> step ---> step   {LONG}
"""

SIZE = 3
"""Size of a block, in rows."""

class Step:
    """One step."""

    @property
    def rows(self):
        """The rows of a step."""
        # For comments any first word will do.

def process(x):
    """Process x.

    Args:
        x: a number.

    >>> process(3)  # {LONG}
    {LONG}
    """
    estimate = x
'''


@pytest.mark.parametrize("source", SAMPLES)
def test_each_pattern_is_refused(source: str) -> None:
    lines = faults(source)
    assert len(lines) >= 1
    assert any(SAMPLES[source] in line for line in lines)


def test_plain_english_passes() -> None:
    assert faults(SOUND) == []
