"""Networks and their training, as detectors use them."""
