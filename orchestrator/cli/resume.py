"""`probeplan resume`: enable paused probes again."""

import argparse

from orchestrator.cli.pause import add_arguments, request_switch

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Resume; returns 0."""
    return request_switch(args, "resume", "resumed")
