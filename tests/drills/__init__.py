"""Trouble made with real programs, and the question that an on-call engineer would ask."""
