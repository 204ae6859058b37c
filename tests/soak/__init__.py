"""Checks, many times over: how often an unchanged program fails, and what is caught."""
