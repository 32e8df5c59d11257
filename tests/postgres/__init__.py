"""What only the SQLite store promises: its file, its settings, its plans, and what it says when the disk is full."""
