"""Skims on disk."""
