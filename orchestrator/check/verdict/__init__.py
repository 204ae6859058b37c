"""Verdicts: is what was measured valid, and does it hold?"""
