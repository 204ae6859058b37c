"""Times of two sides, measured in turns: is the one slower than the other, beyond a tolerance?"""
