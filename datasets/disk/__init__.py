"""Files that are written whole, locked, hashed and checked."""
