"""XLA's interface: the layout of its structs, and functions that are registered once or refused."""

import shutil
import subprocess
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.lanes.compared import LANES, normal
from vgrad_jax.lanes import NotInLanesError, compile_program, ffi, function, over_lanes, toolchain, why_not_native
from vgrad_jax.lanes.ffi import CONSTANTS, OFFSETS

COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_offsets_and_constants_are_the_headers(tmp_path):
    def offset(name):
        struct, _, field = name.partition(".")
        return f"offsetof({struct}, {field})"

    expressions = {**{name: offset(name) for name in OFFSETS}, **{name: name for name in CONSTANTS}}
    lines = [f'printf("%s %ld\\n", "{name}", (long)({text}));' for name, text in expressions.items()]
    source = tmp_path / "offsets.c"
    includes = "#include <stddef.h>\n#include <stdio.h>\n#include <xla/ffi/api/c_api.h>\n"
    source.write_text(f"{includes}int main(void) {{ {' '.join(lines)} return 0; }}\n")
    program = tmp_path / "offsets"
    subprocess.run([COMPILER, f"-I{jax.ffi.include_dir()}", str(source), "-o", str(program)], check=True)
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    numbers = {name: int(number) for name, number in (line.split() for line in output.splitlines())}
    minor = numbers.pop("XLA_FFI_API_MINOR")
    # A later minor version only adds fields at the ends of structs.
    assert minor >= CONSTANTS["XLA_FFI_API_MINOR"]
    assert numbers == {**OFFSETS, **{n: v for n, v in CONSTANTS.items() if n != "XLA_FFI_API_MINOR"}}


@pytest.fixture
def cold(monkeypatch):
    """No function is registered yet; the names of those that are."""
    registered = []
    monkeypatch.setattr(ffi, "_registered", {})
    monkeypatch.setattr(jax.ffi, "register_ffi_target", lambda name, *_, **__: registered.append(name))
    return registered


def test_threads_compile_a_function_once(cold):
    """All threads ask before the first of them has compiled."""
    compiled, ready = [], threading.Barrier(4)

    def make(text):
        compiled.append(text)
        time.sleep(0.1)
        return toolchain.MachineCode(1, None)

    def ask(names):
        ready.wait()
        names.append(ffi.register("text", "cpu", make))

    names: list[str] = []
    threads = [threading.Thread(target=ask, args=(names,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiled == ["text"]
    assert len(cold) == 1
    assert names == [cold[0]] * 4


def test_equal_code_is_registered_once_and_other_code_is_not(cold):
    for text in ("text", "text", "another"):
        ffi.register(text, "cpu", lambda text: toolchain.MachineCode(1, None))
    assert len(cold) == 2


def squared(x):
    return jax.lax.scan(lambda total, _: (total * x, None), x, length=2)[0]


def refused_with(reason, trained=squared):
    with pytest.raises(NotInLanesError, match=reason) as refusal:
        jax.jit(over_lanes(trained))(normal(3))
    return refusal.value


def test_a_registration_that_xla_refuses_is_a_refusal(cold, monkeypatch):
    def refuse(*arguments, **options):
        raise jax.errors.JaxRuntimeError("FFI handler API version mismatch")

    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    refusal = refused_with("XLA refuses native code: FFI handler API version mismatch")
    assert isinstance(refusal.__cause__, jax.errors.JaxRuntimeError)
    assert not ffi._registered


@pytest.mark.usefixtures("cold")
def test_a_program_that_xla_does_not_compile_is_a_refusal():
    """The registration of `cold` does nothing, so that XLA does not know the function."""
    with pytest.raises(NotInLanesError, match="XLA refuses a program with native code"):
        compile_program(over_lanes(lambda x: squared(x) + 1), normal(3))


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: out of memory",
        "RESOURCE_EXHAUSTED: out of memory in custom-call vgrad_jax_0123",
        "UNAVAILABLE: the device of vgrad_jax_0123 is lost",
        "INTERNAL: a defect elsewhere",
    ],
)
def test_another_error_of_xla_stays(message, monkeypatch):
    def fail(*arguments, **options):
        raise jax.errors.JaxRuntimeError(message)

    monkeypatch.setattr(jax, "jit", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        compile_program(squared, normal(3))


def test_a_program_computes_what_vmap_does():
    x = normal(3)
    np.testing.assert_allclose(compile_program(over_lanes(squared), x)(x), x**3, rtol=1e-6)


DEFECTS = {
    "writer": (function, "write_scan", "the compiler of lanes fails on scan: KeyError: 'defect'"),
    "verifier": (toolchain, "parse", "the compiler of lanes fails on scan: KeyError: 'defect'"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_the_compiler_is_a_refusal(name, cold, monkeypatch):
    module, part, reason = DEFECTS[name]

    def fail(*arguments, **options):
        raise KeyError("defect")

    monkeypatch.setattr(module, part, fail)
    assert isinstance(refused_with(reason).__cause__, KeyError)


def test_code_that_llvm_refuses_is_a_refusal():
    with pytest.raises(NotInLanesError, match="LLVM refuses the code"):
        toolchain.compile_code("define ptr @handler(ptr %frame) { ret i32 %frame }")


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_memory_and_interrupts_are_no_refusals(error, cold, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(function, "write_scan", fail)
    with pytest.raises(error):
        jax.jit(over_lanes(squared))(normal(3))


def test_an_error_of_the_users_function_is_their_own():
    def wrong(x):
        raise KeyError("of the user")

    with pytest.raises(KeyError, match="of the user"):
        jax.jit(over_lanes(wrong))(normal(3))


def test_the_reason_is_found_without_compiling(cold):
    assert why_not_native(squared, normal(3)) is None
    assert not cold
    assert "fill registers" in why_not_native(squared, jnp.ones((4, 3)))

    def sorted_in_a_loop(x):
        return jax.lax.scan(lambda total, _: (jnp.sort(total), None), x, length=2)[0]

    assert why_not_native(sorted_in_a_loop, jax.ShapeDtypeStruct((3, LANES), "float32")) == "sort has no native code"
