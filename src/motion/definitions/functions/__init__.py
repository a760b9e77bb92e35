"""Functions as they are written: their source, what identifies it, and their signatures."""
