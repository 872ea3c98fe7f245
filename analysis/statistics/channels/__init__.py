"""Pt bins and score bins in one likelihood, with shared nuisances: what hunts, limits and exported models fit.

`model` says what is expected in a region (pt bin), score bin and mass bin, `fitting` fits it, `kernels` are
the compiled fits. Jets that fail every cut are free in each region and mass bin, so no function of the
mass spectrum is needed.

References:
    rhalphalib, https://github.com/nsmith-/rhalphalib; CMS, arXiv:1709.05543, section 5.
"""
