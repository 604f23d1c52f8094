"""The console's commands that call the API, a module for each kind of thing. `cixml.main` puts them together."""
