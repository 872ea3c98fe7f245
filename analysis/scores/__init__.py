"""Which jets and which columns of a scores table are meant."""
