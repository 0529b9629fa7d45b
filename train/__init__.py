"""From a folder of labelled images to a checkpoint and its contract."""
