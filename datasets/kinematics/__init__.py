"""Angles, four-momenta and the substructure of jets, on arrays alone."""
