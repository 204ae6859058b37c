"""Notes of a plan on one kernel: their types, and their parts in the program."""
