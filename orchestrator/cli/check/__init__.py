"""`probeplan check`: its options, its course, and what it prints."""
