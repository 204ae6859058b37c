"""Paths, compared while they are walked, as C."""
