"""What a run needs between its arguments and its first probe, kept for the next such run."""
