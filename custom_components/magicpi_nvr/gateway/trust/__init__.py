"""Who may connect: the certificate authority, claiming, keys and tokens, limits on failures."""
