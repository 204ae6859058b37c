"""Running a program: the loop, its accounts, and leaving no trace."""
