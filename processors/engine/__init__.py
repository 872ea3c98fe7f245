"""Planning, running and resuming chunks."""
