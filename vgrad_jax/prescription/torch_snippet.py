"""Snippet of PyTorch: the program with a network, its optimiser and its loss filled in."""

from vgrad_jax.prescription.snippet_parts import Parts, asymmetric, fitting, forward_lines, normalising, only_where

__all__ = ["torch_snippet"]

RMSPROP = """

class RMSProp(torch.optim.Optimizer):  # as in optax; torch.optim.RMSprop adds 1e-8 to the root, not under it
    def __init__(self, params, lr, momentum=0.0, nesterov=False):
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                state["square"] = 0.9 * state.get("square", 0.0) + 0.1 * p.grad**2
                update = group["lr"] * p.grad * torch.rsqrt(state["square"] + 1e-8)
                state["trace"] = update + group["momentum"] * state.get("trace", 0.0)
                p -= update + group["momentum"] * state["trace"] if group["nesterov"] else state["trace"]
"""
"""Optimiser that PyTorch lacks."""

ASYMMETRIC = """\
    rows = torch.cat([layer.weight, layer.bias[:, None]], dim=1)
    chosen = torch.randint(rows.shape[1], layer.bias.shape)
    rows[torch.arange(len(rows)), chosen] = torch.rand(layer.bias.shape).sqrt()
    layer.weight.copy_(rows[:, :-1])
    layer.bias.copy_(rows[:, -1])
"""
"""Body of the function that makes a layer asymmetric."""


def torch_snippet(parts: Parts) -> str:
    """Return the program of PyTorch with a network, its optimiser and its loss filled in."""
    forward = forward_lines(
        parts,
        "F.linear(h, layer.weight)",
        "layer.bias",
        "layer(h)",
        layers="list(self.layers)",
        indent="        ",
    )
    fit, call = fitting(
        parts,
        "fit_to_data(model, x)",
        forward_lines(
            parts,
            "F.linear(h, layer.weight)",
            "layer.bias",
            "model",
            layers="list(model.layers)",
            indent="    ",
            before=["layer.weight /= F.linear(h, layer.weight).std(correction=0).clamp(min=1e-12)"],
        ),
    )
    fit = fit.replace("def fit_to_data", "@torch.no_grad()\ndef fit_to_data")
    clip = (
        "" if parts.clip_norm is None else (f"    nn.utils.clip_grad_norm_(model.parameters(), {parts.clip_norm!r})\n")
    )
    learned = "".join(
        f"        self.{name}s = nn.ParameterList(\n"
        f"            {only_where(name, f'nn.Parameter(torch.tensor({name}))')} for {name} in {name.upper()}S\n"
        "        )\n"
        for name in parts.learned
    )
    function, lines = asymmetric(
        parts, "asymmetric(layer)", ASYMMETRIC, "asymmetric(self.layers[index])", indent="        "
    )
    function = function.replace("def asymmetric", "@torch.no_grad()\ndef asymmetric")
    schedule = f"\n{parts.schedule}" if parts.schedule else ""
    after = "    schedule.step()\n" if schedule else ""
    needed = "import math\n\n" if "math." in schedule else ""
    own = RMSPROP if parts.optimizer.startswith("RMSProp(") else ""
    return f"""{needed}import torch
import torch.nn.functional as F
from torch import nn

{parts.constants}{normalising(parts.norm, "torch.mean", "torch.rsqrt", "dim", "keepdim")}{function}

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(WIDTHS[:-1], WIDTHS[1:]))
        with torch.no_grad():
            for layer, kernel, bias in zip(self.layers, KERNELS, BIASES):
                kernel(layer.weight)
                bias(layer.bias)
{lines}{learned}
    def forward(self, x):  # x: (rows, features)
{forward}{fit}{own}

{parts.training}
model = Network()
{call}optimizer = {parts.optimizer}{schedule}


def step(x, y):
    optimizer.zero_grad()
    logits = model(x)
    loss = {parts.loss}
    loss.backward()
{clip}    optimizer.step()
{after}    return loss
"""
