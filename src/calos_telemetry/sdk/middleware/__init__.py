"""Request → facts: one file per interface (ASGI, WSGI) and per framework that has ways of its own."""
