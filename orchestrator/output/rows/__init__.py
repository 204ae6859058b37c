#: Rows a second that a terminal gets: about a screenful. Here, since the options of `run` show it,
#: and a run that programs read imports no more of this package.
ROWS_PER_SECOND = 50
