"""Checks in the deterministic machine: what goes in, what is done there, and what comes out."""
