"""Training of a sweep's blocks on an existing Dask cluster.

    client ── job, token, block ──► worker ── results of the block ──► store, in a file system that all machines share
           ◄──── "finished" ──────

A worker writes its blocks into the store itself, which every machine must see under the same path. Only the news that
a block is finished returns to the client. A block is written in a single step. A worker that the scheduler gave up, and
that still runs, therefore writes the same bytes as the worker that replaced it.

The store holds a token of the sweep. A worker whose token differs stops: nobody waits for its block any more.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vgrad_jax.errors import InputError
from vgrad_jax.results.environment import check_versions, versions
from vgrad_jax.results.store import Store
from vgrad_jax.sweeps.blocks import Job, fill
from vgrad_jax.sweeps.plan import Block
from vgrad_jax.sweeps.policy import local_platform

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connected", "num_threads", "train_blocks"]

SHARED = "it must be in a file system that all machines share"
"""End of error messages about the store."""

SECONDS_TO_CONNECT = 30
"""Seconds to wait for the scheduler, and then for its first worker."""

SECONDS_TO_STOP = 60
"""Seconds to wait for workers that shall stop."""


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """Connect to a Dask scheduler, and check that its workers have the versions of this process.

    Args:
        address: address of the scheduler, such as "tcp://10.0.0.1:8786".

    Yields:
        The connected client.

    Raises:
        InputError: Dask is not installed; the scheduler does not answer; it has no worker; or a worker has other
            versions.
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
            versions_of_workers = client.run(versions)
        except TimeoutError:
            raise InputError(f"{address!r} has no worker: start one with 'dask worker {address}'") from None
        except ImportError as error:
            raise InputError(f"a worker of {address!r} lacks what is installed here: {error}") from None
        for worker, versions_there in versions_of_workers.items():
            check_versions(versions_there, f"worker {worker} does not match")
        yield client


def num_threads(client: "Client") -> int:
    """Return the number of blocks that the workers train at the same time."""
    return max(sum(client.nthreads().values()), 1)


def train_blocks(
    client: "Client",
    job: Job,
    path: Path,
    blocks: Mapping[Block, int],
    report: Callable[[int], None],
    warn_of_refusal: Callable[[str, str | None], None],
) -> None:
    """Train blocks on the workers; a block is written before it is reported.

    Args:
        client: client that `connected` yields.
        job: the sweep.
        path: folder of the store; it names the same folder on every machine.
        blocks: block with missing runs to the number of these runs.
        report: called with the number of new runs after each block.
        warn_of_refusal: called after each block with its arm and the reason why `lanes` refused the arm, or None.

    Raises:
        InputError: a worker has other versions or data, sees another store or none, or cannot write; or the scheduler
            gave up a block.
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
            warn_of_refusal(futures[future].arm, future.result())
            report(blocks[futures[future]])
    except (CancelledError, KilledWorker) as error:
        raise InputError(f"the cluster gave up, and what was finished is kept: {error}") from None
    except ImportError as error:
        raise InputError(f"a worker lacks what is installed here: {error}") from None
    finally:
        # A worker reads the token before each chunk and before it writes, and stops when the token is not its own.
        store.set_token("")
        with suppress(TimeoutError):
            wait(list(futures), timeout=SECONDS_TO_STOP)
        client.cancel(list(futures), force=True)
    completed = store.completed()
    names = list(job.arms)
    if not all(completed[names.index(block.arm), block.start : block.stop].all() for block in blocks):
        raise InputError(f"the workers wrote elsewhere than {str(path)!r}: {SHARED}")


def _fill(block: Block, job: Job, path: str, token: str, here: tuple[tuple[str, str], ...]) -> str | None:
    """Train and write a block; this is the task of a worker.

    Args:
        block: seeds of an arm.
        job: the sweep.
        path: absolute path of the store.
        token: token of the sweep; another token in the store ends the task.
        here: names and versions of the client's software.

    Returns:
        The reason why `lanes` refused the arm, or None.

    Raises:
        InputError: the worker has other versions, another store or other data than the client, or cannot write.
    """
    _match(here)
    store = Store.open(path)
    current = store.token()
    if current != token:
        if current == "":  # The sweep was interrupted, or has failed: its client waits no more.
            return None
        raise InputError(
            f"a worker sees another store at {path!r}; it must be in a file system that all machines share"
        )
    if job.arms[block.arm].fingerprint() != job.fingerprints[block.arm]:
        raise InputError(f"a worker finds other data for arm {block.arm!r} than there are here")
    job = job.on(local_platform())
    fill(job, store, block, stopped=lambda: store.token() != token, in_parts=False)
    return job.refusal(block.arm)


@lru_cache
def _match(here: tuple[tuple[str, str], ...]) -> None:
    """Refuse a worker that joined later and has other versions; once for each process, hence the cache."""
    check_versions(dict(here), "a worker does not match")
