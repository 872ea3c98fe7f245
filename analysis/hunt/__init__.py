"""The hunt for bumps in jet mass after cuts on anomaly scores."""
