"""What is reported of a check: records of the log, and rows for people. Pure."""
