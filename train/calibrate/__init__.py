"""From what a trained network computes to what it answers: temperature, threshold, prior."""
