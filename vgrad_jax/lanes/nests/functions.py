"""Functions of their own for nests: a program of many equal layers has the code of each nest once.

    nest of layer 1 ──┐                       define @nest0(ptr %p0, ptr %p1)
    nest of layer 2 ──┼──► equal but for  ──► call @nest0(ptr %array3, ptr %array4)
    nest of layer 3 ──┘    names              call @nest0(ptr %array4, ptr %array5)

LLVM's time for a function grows faster than the function: short functions compile faster even if no two are equal.
"""

import re

from vgrad_jax.lanes.code import APART, Code
from vgrad_jax.lanes.nests.frame import ARRAY, Frame

__all__ = ["Functions"]

FREE = re.compile(rf"%(?!entry\b)(?![a-z]*{re.escape(APART)})[\w.]+")
"""A name that the function does not define itself."""
TYPE = re.compile(r"(?<![\w%@.])(<\d+ x \w+>|ptr|i\d+|float)(?: align \d+)?(?![\w.])")
"""LLVM's type of an operand, with the alignment that may follow it."""


class Functions:
    """The functions of a module.

    Args:
        code: lines of the function that calls them.
        frame: its arrays.
    """

    def __init__(self, code: Code, frame: Frame) -> None:
        self.code, self.frame = code, frame
        self._names: dict[tuple[str, str], str] = {}
        """Parameters and lines of a function to its name."""

    def call(self, lines: list[str]) -> None:
        """Write the call of a function of some lines.

        Args:
            lines: written within `Code.apart`, so that the names which they define have the prefix `APART`.
        """
        arguments: dict[str, str] = {}
        parameters: dict[str, str] = {}

        def renamed(match: re.Match[str]) -> str:
            name = match.group()
            if name not in parameters:
                parameters[name] = f"%p{len(parameters)}"
                arguments[name] = _type_of(match)
            return parameters[name]

        body = FREE.sub(renamed, "\n".join(lines))
        # Arrays of the frame share no memory; pointers that were computed may point into one array.
        apart = all(name.startswith((ARRAY, "%in", "%out")) for name, type_ in arguments.items() if type_ == "ptr")
        signature = ", ".join(
            f"{type_}{' noalias' if apart and type_ == 'ptr' else ''} {parameters[name]}"
            for name, type_ in arguments.items()
        )
        function = self._names.setdefault((signature, body), f"@nest{len(self._names)}")
        # A pointer that is computed just before the call takes no register and no place on the stack until then.
        begins = self.frame.begins
        passed = {name: self.code.line(begins[name]) if name in begins else name for name in arguments}
        listed = ", ".join(f"{type_} {passed[name]}" for name, type_ in arguments.items())
        self.code.lines.append(f"  call void {function}({listed})")

    def text(self) -> list[str]:
        """Return the definitions of all functions."""
        return [
            f"define internal void {name}({signature}) #1 {{\nentry:\n{body}\n  ret void\n}}"
            for (signature, body), name in self._names.items()
        ]


def _type_of(match: re.Match[str]) -> str:
    """Return the type of an operand: that before it, or the first of its line, which all operands share."""
    text, start = match.string, match.string.rfind("\n", 0, match.start()) + 1
    types = list(TYPE.finditer(text, start, match.start()))
    own = types[-1] if types[-1].end() + 1 == match.start() else types[0]
    return own.group(1)
