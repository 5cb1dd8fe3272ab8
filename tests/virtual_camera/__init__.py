"""Tests of the virtual camera."""
