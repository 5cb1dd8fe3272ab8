"""The firmware's own code as a process, against the integration in a real Home Assistant."""
