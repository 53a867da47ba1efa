"""Configuration: typed schema, YAML groups, command line, stable hash."""
