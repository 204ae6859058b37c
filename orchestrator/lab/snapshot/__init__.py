"""A machine that is stored while its program waits, and goes on from there many times."""
