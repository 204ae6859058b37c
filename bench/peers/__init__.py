"""Programs that answer our questions with other tools."""
