"""One search: its question, and its answer."""
