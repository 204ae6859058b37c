"""`probeplan resume`: switch paused probes on again."""

import argparse

from orchestrator.cli.pause import add_arguments, switch

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Resume; returns 0."""
    return switch(args, "resume", "resumed")
