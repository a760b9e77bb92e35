"""Help for tests of what uses Motion: see docs/testing.md."""

from motion.testing.stepper import Stepper

__all__ = ["Stepper"]
