"""What both sides agree on, without any I/O: events, rows, catalogue, tiers, license, report, receipt, signing."""
