"""Triggers at work: claims, calls, chains and commits."""
