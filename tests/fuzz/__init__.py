"""Everything that reads what others wrote, given what no one meant to write.

`python -m tests.fuzz --seconds N` tries for N seconds a target, guided by coverage (atheris); the
tests here try a few hundred cases of each, always the same ones, and everything ever found.
"""
