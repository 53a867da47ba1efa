"""The results of a sweep for people: tables, plots, one page."""
