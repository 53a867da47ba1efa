"""Sections that jobs share: every setting with type, default, unit, allowed values and meaning."""
