"""The C library's allocator, told to give large buffers back to the system."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_LARGE_BYTES = 128 * 1024
"""glibc's own first value. Left alone it rises to the size of the largest buffer that was ever freed (up to 32 MiB),
and smaller ones then come from heaps that seldom shrink: every thread that held a large body keeps as much."""


def return_large_buffers() -> None:
    """Map every large buffer on its own, so that freeing it returns it. Nothing happens where there is no glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
