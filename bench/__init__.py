"""Figures of ours beside those of bpftrace and bcc, taken in the same run: `make bench`.

Never imported by the package. The machine's state is part of every figure: compare ratios, and
figures of one run only.
"""
