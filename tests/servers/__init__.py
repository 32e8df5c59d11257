"""Real servers for tests: PostgreSQL, Redis, Valkey and PgBouncer, started by the run itself on free loopback ports.

Nothing here is shared with servers that run on the machine already, and nothing is left when the run ends, even by
``kill -9`` (``guard.py``). ``running.py`` is what tests ask for a server.
"""
