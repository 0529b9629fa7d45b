"""What training lowers: the loss, the weights that favour rare classes, the optimizer."""
