"""Places: where a store is if nobody says so, and what an address on the web is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_STORE = Path("fashion_search.motion")
CRAWLED_STORE = Path("crawled.motion")  # of the three shops that are served for trying out


def is_web(address: str) -> bool:
    """Whether something is an absolute http or https address with a host."""
    try:
        parts = urlsplit(address)
        # A name before the host ("https://shop.example@elsewhere.example") is written to mislead.
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:  # urllib on "https://[" and the like
        return False
