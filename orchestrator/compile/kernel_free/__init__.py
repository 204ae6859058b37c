"""What can be said of a plan's types without a kernel."""
