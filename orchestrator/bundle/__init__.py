"""Bundles: a plan and its compiled programs in one file, for hosts without a compiler."""
