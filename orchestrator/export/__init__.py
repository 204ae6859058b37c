"""The log of a run as time series for other programs, by a separate process: the one that
measures has no network, and imports none of this."""
