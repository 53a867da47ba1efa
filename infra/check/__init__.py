"""Renders and checks everything under infra/: `python infra/check`, or `make infra-check`."""
