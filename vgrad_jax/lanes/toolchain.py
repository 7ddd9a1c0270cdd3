"""LLVM, by way of llvmlite: code as text becomes functions of this process.

llvmlite is imported when the first code is compiled. Where the import fails, the library works without native code.
"""

from typing import Any

from vgrad_jax.lanes.errors import NotInLanesError

__all__ = ["compile_code", "host_features", "llvm", "optimise", "parse"]


def llvm() -> Any:
    """Return llvmlite's binding of LLVM.

    Raises:
        NotInLanesError: llvmlite is missing or broken.
    """
    try:
        import llvmlite.binding
    except Exception as error:  # A broken installation raises anything: ImportError, OSError, RuntimeError.
        raise NotInLanesError(f"llvmlite, which compiles native code, cannot be imported: {error}") from error
    return llvmlite.binding


def host_features() -> dict[str, bool]:
    """Return which instruction sets this machine's processor has, by LLVM's names."""
    return dict(llvm().get_host_cpu_features())


def parse(text: str) -> Any:
    """Return LLVM's module of a text.

    Raises:
        NotInLanesError: LLVM refuses the text, which is a defect of the code that wrote it.
    """
    try:
        return llvm().parse_assembly(text)
    except RuntimeError as error:
        raise NotInLanesError(f"LLVM refuses the code: {error}") from error


def compile_code(text: str) -> Any:
    """Compile code for this process.

    Returns:
        The engine that owns the machine code; `get_function_address` gives its functions' addresses. LLVM's own
        form of the code takes a hundred times the machine code's memory, and is freed.

    Raises:
        NotInLanesError: LLVM refuses the text.
    """
    binding = llvm()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = parse(text)
    module.triple = binding.get_default_triple()
    # Each engine frees its own target machine.
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=1
    )
    optimise(module, target)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    engine.remove_module(module)
    module.close()
    return engine


def optimise(module: Any, target: Any) -> None:
    """Run LLVM's first level of optimisation on a module.

    Higher levels take longer and give the same speed, since loops are unrolled and vectorised in the text already.
    """
    binding = llvm()
    options = binding.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
