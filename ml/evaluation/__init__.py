"""How well scores separate and how far they depend on mass."""
