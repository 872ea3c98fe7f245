"""Analyses as plain HTCondor jobs, and what a run costs."""
