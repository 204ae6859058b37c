"""The plans that there are, by the question that each answers: their index, and searching it."""
