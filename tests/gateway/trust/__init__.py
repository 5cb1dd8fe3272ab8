"""Tests of gateway/trust."""
