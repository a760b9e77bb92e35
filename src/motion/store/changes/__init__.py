"""Changes: what a write has caused, waited for, streamed and told."""
