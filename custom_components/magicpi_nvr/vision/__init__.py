"""What is in the picture: motion, zones, persons, vehicles, animals."""
