"""Tests of the recording package."""
