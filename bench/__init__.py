"""Our figures compared with those of bpftrace and bcc, taken in the same run: `make bench`.

Never imported by the package. The machine's state affects every figure: compare ratios, and only
figures from one run.
"""
