"""The store as a run sees it: reads at its pins, writes that are kept until it commits."""
