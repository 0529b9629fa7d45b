"""How a network is written so that phones run it exactly and fast."""
