"""What tracepoints print, which says how their values are named."""
