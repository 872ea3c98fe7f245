"""Speed and memory of everything that has to be quick, as ratios within one run."""
