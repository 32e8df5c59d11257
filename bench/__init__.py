"""Treadle side by side with what people would use instead: all in one run, on one machine, each at its best.

``python -m bench`` (``make bench``) is the door; ``README.md`` says what is measured and how to read it.
"""
