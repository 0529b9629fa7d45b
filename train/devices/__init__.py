"""Where training runs: the device, and the processes that share the work."""
