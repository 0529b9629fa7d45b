"""Developers' trials of training: settings compared, rates measured, runs killed and resumed."""
