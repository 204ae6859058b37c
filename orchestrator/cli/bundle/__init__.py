"""`probeplan bundle`: its options, its course, and what it prints."""
