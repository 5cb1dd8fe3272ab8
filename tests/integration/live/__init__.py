"""Live pictures and video, inside of Home Assistant."""
