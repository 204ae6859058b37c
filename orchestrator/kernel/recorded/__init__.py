"""Recorded kernels that have names."""
