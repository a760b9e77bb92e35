"""Indexes of vectors: one interface, what implements it, and which is taken when."""
