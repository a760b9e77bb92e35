"""Indexes for vectors and text, filters, and the spaces that one search may mix."""
