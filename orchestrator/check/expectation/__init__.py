"""Expectations: their form, what they may name, and their exact values."""
