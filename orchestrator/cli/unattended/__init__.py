"""`probeplan run --unattended`."""
