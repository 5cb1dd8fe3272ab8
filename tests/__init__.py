"""Tests of MagicPi NVR."""
