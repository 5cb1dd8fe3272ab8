"""Tests of the documents: what they name exists, what they calculate is right."""
