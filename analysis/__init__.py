"""From skims and scores to a result: configuration, the chain, fits, bump hunt, plots, report, command line."""
