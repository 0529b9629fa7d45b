"""Round the weights of a network: 8-bit integers, and palettes of 6 and 4 bits."""
