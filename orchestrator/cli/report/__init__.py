"""probeplan report: results of runs as an HTML page."""
