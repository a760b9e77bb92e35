"""Rows: how they are written, read, made by triggers, and marked with what made them."""
