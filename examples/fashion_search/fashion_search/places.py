"""Places: where a store is if nobody says so."""

from __future__ import annotations

from pathlib import Path

DEFAULT_STORE = Path("fashion_search.motion")
CRAWLED_STORE = Path("crawled.motion")  # of the three shops that are served for trying out
