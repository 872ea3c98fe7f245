"""Is nothing found where nothing is? Background-only replicas of the whole chain, and what they show.

`replica` is one of them, `run` plans and repeats them, `summary` adds them up.
"""
