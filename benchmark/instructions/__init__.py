"""Count the instructions that a file executes for one image."""
