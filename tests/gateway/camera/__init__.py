"""Tests of gateway/camera."""
