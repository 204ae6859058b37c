"""Baselines: recorded figures of a check, in a file next to it."""
