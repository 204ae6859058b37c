"""How hooks set, drop and read notes, as C."""
