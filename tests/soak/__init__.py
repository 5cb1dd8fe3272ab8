"""Runs that are long enough for what is left behind to be seen."""
