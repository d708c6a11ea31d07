"""Other sources of facts than the middleware; each module is imported by name and loads the library it instruments."""
