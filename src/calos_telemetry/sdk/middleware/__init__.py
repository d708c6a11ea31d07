"""Request → facts: one file per interface (ASGI, WSGI, Django, Flask)."""
