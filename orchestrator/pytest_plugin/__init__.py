"""The pytest plugin: measures tests, or blocks of them, by the probes of a plan.

pytest's process only switches the probes. A helper process, which is none of its descendants,
attaches, reads and judges, so that nothing of that is among the counts.
"""
