"""Who may log in to a proxy of SOCKS and HTTP."""
