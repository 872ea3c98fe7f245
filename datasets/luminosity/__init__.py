"""Certified and recorded luminosity."""
