"""File systems for guests, packed byte for byte the same wherever and whenever they are packed."""
