"""Networks as pure functions: descriptions, initialisation, and application to one example."""
