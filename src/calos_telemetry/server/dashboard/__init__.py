"""The vendor's pages, rendered on the server."""
