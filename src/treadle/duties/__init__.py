"""Duties: what must happen now and then, safe in any number of processes at once; no leader."""
