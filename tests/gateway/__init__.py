"""Tests of the cameras' side; no Home Assistant here."""
