"""Compiled programs: compiled once, kept within a bound, and never hidden errors."""

import sys
import threading
import time

import pytest

from vgrad_jax import compiling
from vgrad_jax.compiling import ProgramCache


def test_without_the_options_the_program_is_compiled_as_usual(monkeypatch):
    monkeypatch.setattr(compiling, "OPTIONS", {"xla_cpu_no_such_option": True})
    assert int(compiling.compiled_quickly(lambda x: x + 1)(1)) == 2


def test_other_errors_are_not_hidden():
    def broken(x):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        compiling.compiled_quickly(broken)(1)


@pytest.fixture
def cache(monkeypatch):
    monkeypatch.setattr(compiling, "_caches", [])
    return ProgramCache(most=2)


def compile_in_threads(cache, keys):
    """Ask for every key at the same moment, each in a thread of its own: the compiled keys and the programs."""
    compiled, programs = [], []
    barrier = threading.Barrier(len(keys))

    def compile_slowly(key):
        compiled.append(key)
        time.sleep(0.05)
        return object()

    def ask(key):
        barrier.wait()
        programs.append(cache.get(key, lambda: compile_slowly(key)))

    threads = [threading.Thread(target=ask, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return compiled, programs


def test_threads_that_ask_for_a_key_together_compile_it_once(cache):
    compiled, programs = compile_in_threads(cache, ["a"] * 8)
    assert compiled == ["a"]
    assert len(set(map(id, programs))) == 1


def test_other_keys_do_not_wait(cache):
    """Each waits for the other: with one lock for all keys the barrier breaks after its time."""
    barrier = threading.Barrier(2, timeout=10)
    threads = [threading.Thread(target=cache.get, args=(key, barrier.wait)) for key in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not barrier.broken


def test_the_least_recently_used_program_is_dropped(cache):
    for key in ("a", "b"):
        cache.get(key, object)
    first = cache.get("a", object)
    cache.get("c", object)
    assert len(cache) == 2
    assert cache.get("a", object) is first
    compiled = []
    cache.get("b", lambda: compiled.append("b"))
    assert compiled == ["b"]


def test_room_can_be_reserved_for_a_time(cache):
    with cache.room_for(3), cache.room_for(2):
        programs = [cache.get(key, object) for key in range(5)]
        assert [cache.get(key, object) for key in range(5)] == programs
    assert len(cache) == 2


def test_an_error_is_not_kept(cache):
    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.get("a", broken)
    assert len(cache) == 0
    assert cache.peek("a") is None
    assert cache.get("a", lambda: "program") == "program"
    assert cache.peek("a") == "program"


def test_all_caches_are_cleared_together(cache):
    other = ProgramCache(most=5)
    for each in (cache, other):
        each.get("a", object)
    compiling.clear_programs()
    assert len(cache) == len(other) == 0


def test_threads_that_drop_each_others_programs(monkeypatch):
    """Without a lock around the bookkeeping a key is dropped by one thread while another moves it."""
    monkeypatch.setattr(compiling, "_caches", [])
    cache, errors = ProgramCache(most=1), []

    def ask(first):
        try:
            for index in range(3000):
                key = (first + index) % 5
                assert cache.get(key, lambda key=key: key) == key
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors
    assert len(cache) == 1
