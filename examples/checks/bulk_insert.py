"""Inserts rows into a new SQLite database, each in a separate transaction.

usage: bulk_insert.py FILE ROWS
"""

import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)  # each statement is a transaction
database.execute("CREATE TABLE rows (number INTEGER)")
for number in range(int(sys.argv[2])):
    database.execute("INSERT INTO rows VALUES (?)", (number,))
database.close()
