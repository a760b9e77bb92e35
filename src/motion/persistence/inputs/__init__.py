"""Inputs: what runs take of their own rows and of others, and whether it is still so."""
