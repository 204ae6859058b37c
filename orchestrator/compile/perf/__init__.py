"""Attach points that count events."""
