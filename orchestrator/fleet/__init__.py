"""Results of many hosts as one: what can be added is added, and everything else is named."""
