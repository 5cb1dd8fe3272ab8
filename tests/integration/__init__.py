"""Tests of Home Assistant's side, inside of the test plugin's Home Assistant."""
