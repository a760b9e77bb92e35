"""State versions, labels and fits: their rows, and the files and formats that states are kept in."""
