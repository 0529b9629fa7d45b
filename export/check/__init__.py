"""What a network gives on phones, before anyone trains it."""
