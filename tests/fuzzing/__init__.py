"""Fuzzers of everything that comes from outside."""
