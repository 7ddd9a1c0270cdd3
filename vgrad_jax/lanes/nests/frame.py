"""Memory of one function: small arrays on the stack, which LLVM turns into registers, and large ones in scratch."""

from vgrad_jax.lanes.code import TYPES, Code, Kind, Memory

__all__ = ["ARRAY", "Frame"]

ARRAY = "%array"
"""Prefix of the names of arrays."""

MOST_OF_AN_ARRAY = 16_384
"""Bytes up to which an array is on the stack."""
MOST_OF_THE_STACK = 262_144
"""Bytes of all arrays on the stack."""
LINE = 64
"""Bytes of a cache line."""


class Frame:
    """The arrays of one function.

    Args:
        code: the function's lines; pointers to the arrays are computed before all of them.
        pointer: to the scratch memory.
    """

    def __init__(self, code: Code, pointer: str = "%scratch") -> None:
        self.code, self.pointer = code, pointer
        self.entry: list[str] = []
        """Lines at the function's begin."""
        self.begins: dict[str, str] = {}
        """Name of an array in scratch to the instruction that computes its pointer."""
        self.constants: list[str] = []
        """The module's constant arrays."""
        self.scratch = 0
        """Bytes of scratch memory."""
        self._stack = 0
        self._arrays = 0
        self._free: dict[tuple[Kind, int, int], list[Memory]] = {}

    def array(self, kind: Kind, elements: int, varying: bool) -> Memory:
        """Return a new array, or one that was released."""
        lanes = self.code.width if varying else 0
        released = self._free.get((kind, elements, lanes))
        if released:
            return released.pop()
        size = -(-elements * max(lanes, 1) * (1 if kind == "bool" else 4) // LINE) * LINE
        self._arrays += 1
        name = f"{ARRAY}{self._arrays}"
        if size <= MOST_OF_AN_ARRAY and self._stack + size <= MOST_OF_THE_STACK:
            self._stack += size
            type_ = "i8" if kind == "bool" else TYPES[kind]
            self.entry.append(f"  {name} = alloca [{elements * max(lanes, 1)} x {type_}], align {LINE}")
        else:
            self.begins[name] = f"getelementptr i8, ptr {self.pointer}, i64 {self.scratch}"
            self.entry.append(f"  {name} = {self.begins[name]}")
            self.scratch += size
        return Memory(name, kind, lanes)

    def release(self, memory: Memory, elements: int) -> None:
        """Allow later arrays of the same form to take an array's memory."""
        self._free.setdefault((memory.kind, elements, memory.lanes), []).append(memory)

    def constant(self, values: list[str], kind: Kind) -> Memory:
        """Return an array of the module whose elements never change."""
        name = f"@constant{len(self.constants)}"
        type_ = "i8" if kind == "bool" else TYPES[kind]
        elements = ", ".join(f"{type_} {value}" for value in values)
        self.constants.append(
            f"{name} = internal unnamed_addr constant [{len(values)} x {type_}] [{elements}], align {LINE}"
        )
        return Memory(name, kind, 0)
