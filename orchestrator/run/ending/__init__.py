"""The end of a run: everything is detached, the result is kept, and run.finished is written."""
