"""What breaks around a whole Home Assistant with cameras: what is lost, what is reported, and that it recovers."""
