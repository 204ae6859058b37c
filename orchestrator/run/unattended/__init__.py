"""Runs that no one watches: whether one is made, what it keeps on the host, and what keeps a plan
from it."""
