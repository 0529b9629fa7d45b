"""Which layers run in 8 bits, on which grids."""
