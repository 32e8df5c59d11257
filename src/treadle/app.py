"""``Treadle``: the Python door. A user's code registers job types on it and submits jobs through it."""

from __future__ import annotations

from treadle.jobtype import Registry


class Treadle(Registry):
    """An application: its job types, and a way to submit jobs of them."""
