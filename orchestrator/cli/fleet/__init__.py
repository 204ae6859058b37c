"""Commands for many hosts."""
