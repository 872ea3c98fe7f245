"""The conditional hunt: jets that pass against jets that fail, with the jets of each mass bin given.

After a cut on a decorrelated score, the share of jets that pass changes slowly with mass, and a signal
raises it in one place. Given how many jets each mass bin holds, this is a question about shares alone:
no function of the mass spectrum is needed, so none can be wrong. Pseudo-experiments keep the number
of jets in each mass bin and draw again which cuts they pass.

`scan.scan_conditionally` is the hunt, `model` how the shares follow the mass, `patterns` what
pseudo-experiments are drawn from, `kernels` the compiled fits.

References:
    R. D. Cousins, J. T. Linnemann and J. Tucker, arXiv:physics/0702156 (on/off counting and the
    binomial); CMS, arXiv:1709.05543, section 5 (pass/fail ratio as a polynomial).
"""
