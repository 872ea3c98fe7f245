"""One analysis, from its YAML file to its report."""
