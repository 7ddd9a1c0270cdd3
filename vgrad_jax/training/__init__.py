"""Training as a pure function of a description and a key."""
