"""The physics of one chunk of events: pure functions on arrays."""
