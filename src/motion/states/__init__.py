"""Components in time: fits, the gate, promotion, and what is kept."""
