"""CLs upper limits on a signal in a mass spectrum, with systematic uncertainties, as pyhf would set them."""
