"""The choice between native code and XLA's, equation by equation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vgrad_jax.jaxprs import ClosedJaxpr, Jaxpr, JaxprEqn, is_literal, scan_of, variables, while_of
from vgrad_jax.lanes.errors import NotInLanesError, RefusedCodeError
from vgrad_jax.lanes.nests.costs import UNKNOWN_ITERATIONS, Cost, cost_of, cost_of_call
from vgrad_jax.lanes.nests.rewriting import rewritten_part
from vgrad_jax.lanes.nests.support import refusal_of_program
from vgrad_jax.lanes.varying import varying_results

__all__ = ["Choice", "Chooser"]


class Choice(NamedTuple):
    """Decision on how an equation is evaluated."""

    native: bool
    reason: str
    """Why it is not native; empty where it is."""
    cost: Cost
    """Predicted times of native code and of XLA."""
    inside: bool = False
    """True for a loop of XLA whose body is native in parts."""


class Chooser:
    """Decides what is native, and keeps the decisions for a report.

    Args:
        examples: how many.
        width: lanes of a group.
        cores: threads that compute.
        always: whether all that has native code is native, whatever it costs.
    """

    def __init__(self, examples: int, width: int, cores: int, *, always: bool = False) -> None:
        self.examples, self.width, self.cores, self.always = examples, width, cores, always
        self.failures: dict[str, bool] = {}
        """Why equations that were to be native are not, and whether LLVM or XLA refused their code."""
        self.costly: dict[str, Cost] = {}
        """Reason why a loop is XLA's to what it costs."""

    def failed(self, equations: Sequence[JaxprEqn], error: NotInLanesError) -> None:
        """Note that equations that were to be native are not."""
        del equations
        self.failures[str(error)] = isinstance(error, RefusedCodeError)

    def choices(self, jaxpr: Jaxpr, varying: Mapping[Any, bool]) -> dict[int, Choice]:
        """Return the choice for each equation of a program, by the equation's identity.

        Args:
            jaxpr: the program.
            varying: which of its inputs differ from example to example.
        """
        flags = dict(varying)
        choices: dict[int, Choice] = {}
        for equation in jaxpr.eqns:
            of_atoms = [not is_literal(atom) and flags[atom] for atom in equation.invars]
            choices[id(equation)] = self._choice(equation, of_atoms)
            flags.update(zip(equation.outvars, varying_results(equation, of_atoms), strict=True))
        return self._without_what_does_not_pay(jaxpr, flags, choices)

    def _choice(self, equation: JaxprEqn, varying: Sequence[bool]) -> Choice:
        if not any(varying):
            return Choice(False, "the same for all lanes", cost_of(equation, varying, self))
        cost = cost_of(equation, varying, self)
        reason = self.refusal(equation)
        if reason is None:
            return Choice(True, "", cost)
        if equation.primitive.name in ("scan", "while"):
            self.costly[reason] = cost
        inside = equation.primitive.name == "scan" and scan_of(equation).length > 0 and not equation.effects
        return Choice(False, reason, cost, inside and self._has_native_loops(equation, varying))

    def refusal(self, equation: JaxprEqn) -> str | None:
        """Return why an equation has no native code; None where it has."""
        read = list(dict.fromkeys(variables(equation.invars)))
        try:
            part = rewritten_part([equation], read, list(equation.outvars))
        except NotInLanesError as error:
            return str(error)
        return refusal_of_program(part.closed)

    def _has_native_loops(self, equation: JaxprEqn, varying: Sequence[bool]) -> bool:
        """Return whether the body of a loop has parts for which a native call pays."""
        body = scan_of(equation).body.jaxpr
        scan = scan_of(equation)
        flags = list(varying)
        flags[scan.num_consts : scan.num_consts + scan.num_carry] = varying_results(equation, varying)[: scan.num_carry]
        known = {**dict.fromkeys(body.constvars, False), **dict(zip(body.invars, flags, strict=True))}
        inner = self.choices(body, known)
        return any(choice.native or choice.inside for choice in inner.values())

    def _without_what_does_not_pay(
        self, jaxpr: Jaxpr, varying: Mapping[Any, bool], choices: dict[int, Choice]
    ) -> dict[int, Choice]:
        """Leave native equations to XLA where a call of their own costs more than it saves."""
        native = [equation for equation in jaxpr.eqns if choices[id(equation)].native]
        if self.always or not native:
            return choices
        saved = sum(choices[id(e)].cost.xla - choices[id(e)].cost.native for e in native)
        made = {variable for equation in native for variable in equation.outvars}
        read = {v for equation in native for v in variables(equation.invars)} - made
        others = [equation for equation in jaxpr.eqns if not choices[id(equation)].native]
        later = {*variables(jaxpr.outvars), *(v for equation in others for v in variables(equation.invars))}
        if saved > cost_of_call([v for v in read | (made & later) if varying[v]], self):
            return choices
        reason = "XLA is faster here"
        return {**choices, **{id(e): choices[id(e)]._replace(native=False, reason=reason) for e in native}}

    def iterations(self, equation: JaxprEqn) -> int:
        """Return how often the programs inside of an equation are executed, as the costs assume."""
        match equation.primitive.name:
            case "scan":
                return scan_of(equation).length
            case "while":
                return UNKNOWN_ITERATIONS
        return 1

    def inner_flags(
        self, equation: JaxprEqn, varying: Sequence[bool], programs: Sequence[ClosedJaxpr]
    ) -> list[tuple[ClosedJaxpr, list[bool]]]:
        """Return the programs inside of an equation, each with which of its inputs differ."""
        results = varying_results(equation, varying)
        match equation.primitive.name:
            case "scan":
                scan, flags = scan_of(equation), list(varying)
                flags[scan.num_consts : scan.num_consts + scan.num_carry] = results[: scan.num_carry]
                return [(programs[0], flags)]
            case "while":
                loop = while_of(equation)
                start = loop.condition_consts + loop.body_consts
                conditions = [*varying[: loop.condition_consts], *results]
                return [(programs[0], conditions), (programs[1], [*varying[loop.condition_consts : start], *results])]
        return [(program, list(varying[1:])) for program in programs]
