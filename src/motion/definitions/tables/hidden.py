"""Hidden keys: those that by their names hold secrets, and are not shown to people who only read."""

from __future__ import annotations

import re

SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|secrets|credential|credentials)(?:_|$)"
    r"|(?:^|_)(?:token|apikey|pin)$|(?:^|_)(?:api|private|access|signing|encryption)_key(?:_|$)",
    re.IGNORECASE,
)


def is_secret(key: str) -> bool:
    """Whether a key's name says that it holds a secret: `password_hash`, `api_key`, `reset_token`; not `token_count`."""
    return SECRET.search(key) is not None
