"""Measuring: a check's workload repeated, its probes counting each time."""
