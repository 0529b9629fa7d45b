"""From a checkpoint to files that phones can run."""
