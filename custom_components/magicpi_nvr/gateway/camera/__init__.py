"""What is known of one registered camera: presence, configuration, live pictures, updates."""
