"""The product questions, one per file: plain functions from a connection to frozen rows."""
