"""Probes that are attached once and count one stretch after another."""
