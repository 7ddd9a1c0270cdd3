"""LLVM, by way of llvmlite: code as text becomes functions of this process.

llvmlite is imported when the first code is compiled. Where the import fails, the library works without native code.
"""

import itertools
from functools import lru_cache
from typing import Any, NamedTuple

from vgrad_jax.lanes.errors import RefusedCodeError

__all__ = ["MachineCode", "compile_code", "host_features", "llvm", "optimise", "parse"]

_libraries = itertools.count()


def llvm() -> Any:
    """Return llvmlite's binding of LLVM.

    Raises:
        RefusedCodeError: llvmlite is missing or broken.
    """
    try:
        import llvmlite.binding
    except Exception as error:  # A broken installation raises anything: ImportError, OSError, RuntimeError.
        raise RefusedCodeError(f"llvmlite, which compiles native code, cannot be imported: {error}") from error
    return llvmlite.binding


def host_features() -> dict[str, bool]:
    """Return which instruction sets this machine's processor has, by LLVM's names."""
    return dict(llvm().get_host_cpu_features())


def parse(text: str) -> Any:
    """Return LLVM's module of a text.

    Raises:
        RefusedCodeError: LLVM refuses the text, which is a defect of the code that wrote it.
    """
    try:
        return llvm().parse_assembly(text)
    except RuntimeError as error:
        raise RefusedCodeError(f"LLVM refuses the code: {error}") from error


class MachineCode(NamedTuple):
    """A function of this process."""

    address: int
    owner: Any
    """LLVM's handle; the machine code is freed with the last reference to it."""


def compile_code(text: str, function: str = "handler", *, quickly: bool = False) -> MachineCode:
    """Compile code for this process.

    All code is linked by one linker, as objects: an engine for each function would hold a megabyte.

    Args:
        text: LLVM's code.
        function: the name of the function that is called.
        quickly: whether only arrays become registers and instructions are combined, for long code.

    Raises:
        RefusedCodeError: LLVM refuses the text.
    """
    binding = llvm()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = parse(text)
    module.triple = binding.get_default_triple()
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=1
    )
    (simplify if quickly else optimise)(module, target)
    image = target.emit_object(module)
    # The process has the mathematical functions that the code calls.
    library = binding.JITLibraryBuilder().add_object_img(image).add_current_process().export_symbol(function)
    owner = library.link(_linker(), f"lanes{next(_libraries)}")
    return MachineCode(owner[function], owner)


@lru_cache(maxsize=1)
def _linker() -> Any:
    return llvm().create_lljit_compiler()


def optimise(module: Any, target: Any) -> None:
    """Run LLVM's first level of optimisation on a module.

    Higher levels take longer and give the same speed, since loops are unrolled and vectorised in the text already.
    """
    binding = llvm()
    options = binding.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)


def simplify(module: Any, target: Any) -> None:
    """Turn small arrays into registers, and combine instructions, once.

    That takes a third of the time of `optimise`. What else that does, code for nests of loops does not need.
    """
    binding = llvm()
    passes = binding.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    builder = binding.create_pass_builder(target, binding.create_pipeline_tuning_options(speed_level=1))
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
