"""SQLite: one file, WAL, every commit flushed; one writer thread a process, several processes a file."""
