"""Networks rewritten for phones: the same function from fewer and faster operations."""
