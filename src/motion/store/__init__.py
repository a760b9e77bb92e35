"""The store as a user holds it: its verbs, and the handles they return."""
