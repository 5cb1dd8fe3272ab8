"""Makes the integration importable for tests and type checks."""
