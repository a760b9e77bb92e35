"""Reports: what a store tells of itself, its rows and its models."""
