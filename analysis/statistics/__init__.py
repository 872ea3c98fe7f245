"""Counts in, numbers out: nothing here knows jets, files or pages."""
