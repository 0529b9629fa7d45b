"""Reads, executes and counts Core ML programs without Apple's runtime."""
