"""Tables: a dataclass as keys with types, and what of other tables a key may be."""
