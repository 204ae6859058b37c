"""Checks: workloads measured by a plan, and judged."""
