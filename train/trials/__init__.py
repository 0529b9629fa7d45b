"""Developers' trials of training: rates measured, runs killed and resumed."""
