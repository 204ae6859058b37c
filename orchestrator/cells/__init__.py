"""The arithmetic of metrics: cells and histogram buckets. Imports nothing else of the package."""
