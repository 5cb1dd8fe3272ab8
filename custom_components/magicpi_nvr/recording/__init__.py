"""Frames to files and back: recorder, encoder, hour files, index, playback, retention."""
