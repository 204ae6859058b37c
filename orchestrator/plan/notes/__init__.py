"""Notes: state that is kept at one event and read at others."""
