"""Exchange with other tools: mass histograms in and out, statistical models out."""
