"""Executors: where functions of triggers run. One interface, and what implements it."""
