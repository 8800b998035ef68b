"""Data sets: reading, fetching, simulating."""
