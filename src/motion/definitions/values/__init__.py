"""Values: what a key may hold, as it is stored, as JSON has it, and as it is lent to who may change it."""
