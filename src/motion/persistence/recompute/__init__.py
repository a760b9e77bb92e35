"""Backfills: values that are made again in parts."""
