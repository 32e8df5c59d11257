"""Hints: how a worker learns in a millisecond what to claim. Never trusted, never needed."""
