"""Why a gate over counts failed: the cells that grew, and records of what was counted."""
