"""Input files: datasets, filesets, and what ROOT files hold."""
