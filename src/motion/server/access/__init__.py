"""Access: who may ask what, how much, and how a refusal is told."""
