"""Programs that ask our questions with other tools."""
