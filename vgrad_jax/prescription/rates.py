"""Spellings of a learning rate in other libraries: a number, or a schedule over the steps of the training."""

from vgrad_jax.errors import InputError
from vgrad_jax.optimizers import Optimizer
from vgrad_jax.schedules import CONSTANT, schedule_parts

__all__ = ["rate_in", "torch_schedule"]


def rate_in(library: str, optimizer: Optimizer, steps: int) -> str:
    """Return the first argument of an optimiser of JAX or Keras: its learning rate, or the schedule.

    Args:
        library: "jax" or "keras".
        optimizer: the description.
        steps: number of steps of the training.

    Raises:
        InputError: the library has no such schedule.

    >>> rate_in("jax", Optimizer("adam", learning_rate=0.01, schedule="cosine", warmup=0.1), 200)
    'optax.warmup_cosine_decay_schedule(0.0, 0.01, 20, 200, 0.0)'
    """
    rate, (name, end) = optimizer.learning_rate, schedule_parts(optimizer.schedule)
    warmup = optimizer.warmup_steps(steps)
    rest = max(steps - warmup, 1)
    if name == CONSTANT and not warmup:
        return repr(rate)
    if library == "jax":
        return {
            (CONSTANT, True): f"optax.warmup_constant_schedule(0.0, {rate!r}, {warmup})",
            ("cosine", False): f"optax.cosine_decay_schedule({rate!r}, {rest}, {end!r})",
            ("cosine", True): (
                f"optax.warmup_cosine_decay_schedule(0.0, {rate!r}, {warmup}, {warmup + rest}, {end * rate!r})"
            ),
            ("exponential", False): f"optax.exponential_decay({rate!r}, {rest}, {end!r})",
            ("exponential", True): (
                f"optax.warmup_exponential_decay_schedule(0.0, {rate!r}, {warmup}, {rest}, {end!r})"
            ),
        }[name, bool(warmup)]
    module = "keras.optimizers.schedules"
    if name == "exponential":
        if warmup:
            raise InputError("keras has no exponential schedule with a warm-up; write it there by hand")
        return f"{module}.ExponentialDecay({rate!r}, {rest}, {end!r})"
    if warmup:
        return f"{module}.CosineDecay(0.0, {rest}, alpha={end!r}, warmup_target={rate!r}, warmup_steps={warmup})"
    return f"{module}.CosineDecay({rate!r}, {rest}, alpha={end!r})"


def torch_schedule(optimizer: Optimizer, steps: int) -> str:
    """Return PyTorch's schedule of `optimizer`, a statement; empty where the learning rate stays.

    >>> torch_schedule(Optimizer(schedule="exponential(0.01)"), 100)
    'schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.01 ** (step / 100))'
    """
    name, end = schedule_parts(optimizer.schedule)
    warmup = optimizer.warmup_steps(steps)
    rest = max(steps - warmup, 1)
    if name == CONSTANT and not warmup:
        return ""
    done = f"(step - {warmup}) / {rest}" if warmup else f"step / {rest}"
    share = {
        CONSTANT: "1.0",
        "cosine": f"{end!r} + {1 - end!r} * (1 + math.cos(math.pi * min({done}, 1.0))) / 2",
        "exponential": f"{end!r} ** ({done})",
    }[name]
    rising = f"step / {warmup} if step < {warmup} else " if warmup else ""
    return f"schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: {rising}{share})"
