"""What stands between a request and the database: pipeline → spool → drain."""
