"""What breaks around a whole Home Assistant with cameras: what is lost, what is told, and that it recovers."""
