"""Licenses at the install: what holds now, the exchange with the license server, the gates in the application."""
