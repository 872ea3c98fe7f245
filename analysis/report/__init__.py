"""The report: its page, sections and figures."""
