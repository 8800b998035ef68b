"""Photographs painted from annotations, with the truth of what was painted where."""
