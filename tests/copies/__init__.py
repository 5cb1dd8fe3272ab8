"""Copies of clips: targets, queue, reading back."""
