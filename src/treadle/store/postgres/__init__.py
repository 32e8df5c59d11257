"""The store of the second rung: PostgreSQL 15 or newer, shared by any number of processes and machines."""
