"""Help for tests of what uses Motion: see docs/guides/testing.md."""

from motion.testing.stepper import Stepper

__all__ = ["Stepper"]
