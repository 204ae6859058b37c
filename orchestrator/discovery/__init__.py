"""What there is to attach to: attach points by name, what is known at each, plans to begin with."""
