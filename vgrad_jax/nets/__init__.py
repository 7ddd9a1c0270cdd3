"""Networks as pure functions: init and apply, activations, initialisers."""
