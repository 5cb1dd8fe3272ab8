"""Tests of what is read back: index, playback, retention, library."""
