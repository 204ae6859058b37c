"""Runs that no one watches: what they keep on the host, and what keeps a plan from it."""
