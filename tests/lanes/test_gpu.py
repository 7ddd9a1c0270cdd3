"""A GPU's code, without a GPU: it becomes PTX, a processor computes the same, and a launch has the right arguments."""

import ctypes
import re

import jax
import jax.numpy as jnp
import pytest

from tests.lanes.compared import LANES, assert_same, normal
from vgrad_jax.lanes import NotInLanesError, gpu, over_lanes
from vgrad_jax.lanes.ffi import CONSTANTS, OFFSETS
from vgrad_jax.lanes.machine import BLOCK, THREADS
from vgrad_jax.lanes.toolchain import compile_code

BUFFER = ctypes.c_uint64 * 5
LAUNCH = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    *[ctypes.c_uint] * 7,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)
ASK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64 * 4))


TABLE = jax.random.normal(jax.random.key(2), (7, 2))


def network(x, kernel, rows):
    """Compute all that a training does: products, sums over a loop, rows of a table, a scan with a state."""

    def step(state, row):
        weights, count = state

        def loss(weights):
            hidden = jnp.tanh(row @ weights)
            return jnp.mean(jnp.log1p(jnp.exp(hidden)).sum(1)), (hidden > 0).any()

        (value, positive), gradient = jax.value_and_grad(loss, has_aux=True)(weights)
        return (weights - 0.1 * gradient, count + positive.astype(jnp.int32)), value

    chosen = TABLE.at[rows].get(mode="promise_in_bounds")
    state, losses = jax.lax.scan(step, (kernel, jnp.int32(0)), x + chosen.mean())
    return state, losses


def arguments():
    return normal(6, 8, 3), normal(3, 3, key=1), jax.random.randint(jax.random.key(3), (12, LANES), 0, 7)


@pytest.fixture
def texts(monkeypatch):
    """The text of every kernel, its name, and its number of blocks; no kernel is made."""
    kernels = []

    def register(text, platform, make):
        assert platform == "CUDA"
        kernels.append((text, make.keywords["kernel"], make.keywords["blocks"]))
        return "not_made"

    monkeypatch.setattr(gpu, "register", register)
    return kernels


def test_a_thread_computes_what_a_lane_does():
    """The same code, a lane after the other, on a processor."""
    assert_same(network, *arguments(), machine=THREADS._replace(platform="cpu", team=1, has_exp2=False))


def test_kernels_become_ptx(texts):
    """One load or store of each lane's number beside the next lane's."""
    jax.make_jaxpr(over_lanes(network, THREADS))(*(jnp.tile(argument, 32) for argument in arguments()))
    assert texts
    for text, kernel, blocks in texts:
        ptx = gpu.ptx_of(text, "9.0")
        assert f".visible .entry {kernel}(" in ptx
        assert f".maxntid {BLOCK}" in ptx
        assert blocks == LANES * 32 // THREADS.group
        assert "call" not in ptx, "a function that is not there"


def test_threads_share_no_array_that_they_read_again(texts):
    """Another thread may be some iterations ahead: a uniform array has a copy for each thread."""

    def function(x):
        def iteration(state, row):
            count, total = state
            return (count + 1, total * 0.5 + row / count), count * 2.0

        return jax.lax.scan(iteration, (jnp.float32(1), jnp.zeros(3)), x)

    jax.make_jaxpr(over_lanes(function, THREADS))(normal(9, 3))
    (text, _, _) = texts[-1]
    steps = {name: rest for name, *rest in re.findall(r"(%\w+) = getelementptr \w+, ptr (%\w+), i64 (\S+)", text)}
    steps |= {name: (first, None) for name, first in re.findall(r"(%\w+) = phi ptr \[ (%\w+),", text)}

    def of_one_thread(pointer):
        while pointer in steps:
            pointer, step = steps[pointer]
            if step == "%bytes":  # To the lane's own scratch memory.
                return True
        return pointer.startswith(("%in", "%out"))

    used = re.findall(r"(?:load float,|store float [^,]+,) ptr (%\w+)", text)
    assert len(used) > 10
    assert all(map(of_one_thread, used))


def test_sums_of_a_few_numbers_leave_nothing_in_memory(texts):
    def function(x, kernel):
        return jax.lax.scan(lambda total, row: (total + jnp.tanh(row @ kernel).T @ row, None), jnp.zeros((3, 3)), x)[0]

    jax.make_jaxpr(over_lanes(function, THREADS))(normal(6, 40, 3), normal(3, 3))
    loops = [loop for text, _, _ in texts for loop in text.split("\nloop") if "rcp.approx" in loop]
    members = [loop for loop in loops if "bar.warp.sync" in loop[: loop.index("rcp.approx")]]
    assert len(members) == len(loops) - 1 == 1, "computed twice, beside the iterations that are left"
    assert members[0][: members[0].index("br i1")].count("store float") == 0


@pytest.mark.parametrize("function", [jnp.sin, jnp.exp2, lambda x: x**x])
def test_functions_that_a_gpu_only_approximates_are_refused(texts, function):
    def in_a_loop(x):
        return jax.lax.scan(lambda total, _: (function(total), None), x, length=2)[0]

    with pytest.raises(NotInLanesError, match="GPU"):
        jax.make_jaxpr(over_lanes(in_a_loop, THREADS))(normal(3))
    assert not texts
    jax.make_jaxpr(over_lanes(function, THREADS))(normal(3))  # Outside of loops it is XLA's.
    assert not texts


def called(launch_status=0, stream_error=None):
    """Return the launcher's result, the launches' arguments, the errors made, and the arrays' addresses."""
    launches, errors, frames = [], [], []
    arrays = [ctypes.c_float(number) for number in range(3)]

    @LAUNCH
    def launch(kernel, *arguments):
        pointers = [ctypes.cast(arguments[8][n], ctypes.POINTER(ctypes.c_void_p))[0] for n in range(3)]
        launches.append((kernel, arguments[:7], arguments[7], pointers))
        return launch_status

    @ASK
    def stream_get(given):
        frames.append(given[0][2])
        given[0][3] = 77
        return stream_error

    @ASK
    def error_create(given):
        errors.append((ctypes.string_at(given[0][2]), given[0][3]))
        return 99

    launcher = compile_code(
        gpu.launcher(55, ctypes.cast(launch, ctypes.c_void_p).value, ["%in0", "%in1"], ["%out0"], 8)
    )
    buffers = [BUFFER(0, 0, 0, ctypes.addressof(array), 0) for array in arrays]
    lists = [
        (ctypes.c_void_p * len(some))(*(ctypes.addressof(buffer) for buffer in some))
        for some in (buffers[:2], buffers[2:])
    ]
    api, frame = (ctypes.c_uint64 * 20)(), (ctypes.c_uint64 * 20)()

    def put(struct, name, value):
        struct[OFFSETS[name] // 8] = value

    put(api, "XLA_FFI_Api.XLA_FFI_Error_Create", ctypes.cast(error_create, ctypes.c_void_p).value)
    put(api, "XLA_FFI_Api.XLA_FFI_Stream_Get", ctypes.cast(stream_get, ctypes.c_void_p).value)
    put(frame, "XLA_FFI_CallFrame.api", ctypes.addressof(api))
    put(frame, "XLA_FFI_CallFrame.ctx", 33)
    for part, buffers_of, list_ in (("args", "XLA_FFI_Args.args", lists[0]), ("rets", "XLA_FFI_Rets.rets", lists[1])):
        frame[(OFFSETS[f"XLA_FFI_CallFrame.{part}"] + OFFSETS[buffers_of]) // 8] = ctypes.addressof(list_)
    result = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(launcher.address)(frame)
    assert frames == [33]
    return result, launches, errors, [ctypes.addressof(array) for array in arrays]


def test_a_kernel_is_launched_on_the_stream_of_xla():
    result, launches, errors, pointers = called()
    assert (result, errors) == (None, [])
    assert launches == [(55, (8, 1, 1, BLOCK, 1, 1, 0), 77, pointers)]


def test_a_refused_launch_is_an_error():
    result, launches, errors, _ = called(launch_status=1)
    assert (result, len(launches)) == (99, 1)
    assert errors == [(b"the GPU does not take the kernel", CONSTANTS["XLA_FFI_Error_Code_INTERNAL"])]
    result, launches, errors, _ = called(stream_error=44)
    assert (result, launches, errors) == (44, [], [])


def test_a_missing_driver_is_a_refusal(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(NotInLanesError, match="CUDA's driver is not found: libcuda"):
        gpu._driver.__wrapped__()
