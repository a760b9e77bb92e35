"""What runs beside the callers: loops and their threads, event loops, owners of a place, forks, interrupts, locks."""
