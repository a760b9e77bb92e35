"""`python -m motion`: the same as `motion`."""

from __future__ import annotations

from motion.cli import main

main()
