"""Back ends: where a store's rows lie. One interface, and what implements it."""
