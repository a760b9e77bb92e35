"""Triggers as they are declared: options, parameters, events, what they take of other rows, and what is kept of them."""
