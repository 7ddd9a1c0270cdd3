"""Functions of one example compiled for many lanes: a jaxpr becomes one native function, a lane for each seed."""
