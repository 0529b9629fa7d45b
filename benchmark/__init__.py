"""From exported files to a verdict: parity, latency, report."""
