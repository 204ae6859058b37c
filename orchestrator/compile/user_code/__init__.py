"""Attach points in programs and libraries, and what is known of their code."""
