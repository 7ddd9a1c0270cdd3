"""Inputs tried one by one: each is used, refused, or a fault."""

import contextlib
import os
import signal
import tempfile
import traceback
import warnings
from pathlib import Path

import vgrad_jax as vg
from tests.fuzzing.calls import signatures
from tests.fuzzing.commands import command_lines
from tests.fuzzing.descriptions import descriptions
from tests.fuzzing.records import records
from tests.fuzzing.tables import data_files
from tests.fuzzing.values import Reached, WrongError

SECONDS = 5
"""Seconds of the processor that an input may take."""


KINDS = {
    "data files": data_files,
    "records": records,
    "descriptions": descriptions,
    "command lines": command_lines,
    "signatures": signatures,
}


@contextlib.contextmanager
def prepared():
    """A folder to work in, without training, measuring and the network of an address."""

    def reached(*arguments, **options):
        raise Reached

    from vgrad_jax import prescription
    from vgrad_jax.prescription import prescribing
    from vgrad_jax.report import live
    from vgrad_jax.sweeps import cluster, estimate, running, speed
    from vgrad_jax.theory import comparison

    heavy = (
        (running, "_target"),
        (running, "connected"),
        (cluster, "connected"),
        (live, "run_live"),
        (speed, "measure_speed"),
    )
    heavy += (
        (comparison, "compare"),
        (estimate, "estimated_seconds"),
        (prescription, "prescribe"),
        (prescribing, "Trials"),
    )
    heavy = [(module, name) for module, name in heavy if hasattr(module, name)]
    before = [getattr(module, name) for module, name in heavy]
    where = Path.cwd()
    try:
        for module, name in heavy:
            setattr(module, name, reached)
        yield
    finally:
        os.chdir(where)
        for (module, name), original in zip(heavy, before, strict=True):
            setattr(module, name, original)


def outcome(kind, random):
    """Try one input: "used", "refused", or the fault in words."""

    def late(*_):
        raise WrongError(f"more than {SECONDS} seconds of the processor")

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        alarm = signal.signal(signal.SIGVTALRM, late)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            KINDS[kind](random, Path(folder))
        except Reached:
            return "used"
        except OSError:
            return "refused"  # The message names the file.
        except vg.InputError as error:
            return "refused" if len(str(error)) < 20_000 else f"a sentence of {len(str(error))} characters"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            if any(frame.name in ("user_loss", "user_init") for frame in frames):
                return "refused"  # A function of the user's own has raised, and says where.
            if type(error).__name__.startswith("Beartype"):
                return "refused"  # The run-time type checker of the tests, which users do not have.
            last = [frame for frame in frames if "vgrad_jax" in frame.filename][-1:]
            place = f"{Path(last[0].filename).name}:{last[0].lineno}" if last else ""
            return f"{kind}: {type(error).__name__} at {place}: {str(error)[:300]}"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, alarm)
            os.chdir("/")
    return "used"
