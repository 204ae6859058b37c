"""Proof that each plan in plans/ answers its question: a workload made for it, a known answer.

One row a plan: in the module of its area, a function that does what the plan is meant to see (the
workload, run as `python -m tests.recipes AREA NAME`), one that judges the run, and a `Recipe` that
joins them. Everything else follows from the row: it runs on this machine's kernel if that can,
and on each booted one, one boot for all.
"""
