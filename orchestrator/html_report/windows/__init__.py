"""Metrics over windows: series, charts, and those of several runs on one axis."""
