"""A sweep's blocks on an existing Dask cluster.

Every worker writes the blocks that it trained into the store, which all machines have to see under the same path; only
who has trained what comes back to the client. A block is written once and whole, so that a worker that was given up
for dead and is not writes what the next one writes.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vgrad_jax.errors import InputError
from vgrad_jax.results.store import Store
from vgrad_jax.results.versions import check_versions, versions
from vgrad_jax.sweeps.blocks import Job, fill
from vgrad_jax.sweeps.plan import Block
from vgrad_jax.sweeps.policy import local_platform

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connected", "num_threads", "train_blocks"]

SHARED = "it must be in a file system that all machines share"
SECONDS_TO_CONNECT = 30
SECONDS_TO_STOP = 60


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """A connection to a Dask scheduler whose workers match what is installed here.

    Args:
        address: such as "tcp://10.0.0.1:8786".

    Raises:
        InputError: Dask is not installed; nobody answers; there is no worker, or one with other versions.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("a cluster needs Dask: pip install 'vgrad_jax[cluster]'") from None
    try:
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from None
    with client, client.as_current():
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
            there = client.run(versions)
        except TimeoutError:
            raise InputError(f"{address!r} has no worker: start one with 'dask worker {address}'") from None
        except ImportError as error:
            raise InputError(f"a worker of {address!r} lacks what is installed here: {error}") from None
        for worker, found in there.items():
            check_versions(found, f"worker {worker} does not match")
        yield client


def num_threads(client: "Client") -> int:
    """Blocks that the workers train at the same time."""
    return max(sum(client.nthreads().values()), 1)


def train_blocks(
    client: "Client", job: Job, path: Path, blocks: Mapping[Block, int], report: Callable[[int], None]
) -> None:
    """Train blocks on the workers; each is written before it is reported.

    Args:
        client: from `connected`.
        job: the arms and how they are trained.
        path: of the store; the same place on every machine.
        blocks: those that are not whole, and how many of their runs are missing.
        report: called with the number of new runs.

    Raises:
        InputError: a worker does not match, sees another store or none, or cannot write.
    """
    from distributed import CancelledError, KilledWorker, as_completed, wait

    token = uuid.uuid4().hex
    store = Store.open(path)
    store.set_token(token)
    here = tuple(versions().items())
    arguments = (job, str(path.resolve()), token, here)
    futures = {client.submit(_fill, block, *arguments, pure=False): block for block in blocks}
    try:
        for future in as_completed(list(futures)):
            future.result()
            report(blocks[futures[future]])
    except (CancelledError, KilledWorker) as error:
        raise InputError(f"the cluster gave up, and what was finished is kept: {error}") from None
    except ImportError as error:
        raise InputError(f"a worker lacks what is installed here: {error}") from None
    finally:
        # Whoever is still training sees before its next chunk, and before it writes, that nobody waits for it.
        store.set_token("")
        with suppress(TimeoutError):
            wait(list(futures), timeout=SECONDS_TO_STOP)
        client.cancel(list(futures), force=True)
    completed = store.completed()
    names = list(job.arms)
    if not all(completed[names.index(block.arm), block.start : block.stop].all() for block in blocks):
        raise InputError(f"the workers wrote elsewhere than {str(path)!r}: {SHARED}")


def _fill(block: Block, job: Job, path: str, token: str, here: tuple[tuple[str, str], ...]) -> None:
    """What a worker does with a block."""
    _match(here)
    store = Store.open(path)
    found = store.token()
    if found != token:
        if found == "":
            return
        raise InputError(
            f"a worker sees another store at {path!r}; it must be in a file system that all machines share"
        )
    if job.arms[block.arm].fingerprint() != job.fingerprints[block.arm]:
        raise InputError(f"a worker finds other data for arm {block.arm!r} than there are here")
    fill(job.on(local_platform()), store, block, stopped=lambda: store.token() != token, in_parts=False)


@lru_cache
def _match(here: tuple[tuple[str, str], ...]) -> None:
    """For workers that joined later."""
    check_versions(dict(here), "a worker does not match")
