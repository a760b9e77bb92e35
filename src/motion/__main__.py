"""`python -m motion`: the same as `motion`."""

from motion.cli import main

main()
