"""The cameras' side of MagicPi NVR: TLS listener, keys, claiming, sessions."""
