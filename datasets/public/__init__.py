"""Readers of public benchmarks of jets, from their published files into jets."""
