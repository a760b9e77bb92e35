"""One change: what is written, what follows from it, and the one commit of a run."""
