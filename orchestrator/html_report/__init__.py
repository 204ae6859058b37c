"""Results of runs as one HTML page that needs no network; pure: documents in, text out."""
