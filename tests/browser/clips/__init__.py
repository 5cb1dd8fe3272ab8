"""Clips in a real browser."""
