"""Addresses and packets of networks in expressions."""
