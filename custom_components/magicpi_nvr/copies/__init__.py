"""Copies of clips at a place outside: targets, the queue, and reading back. Knows no Home Assistant."""
