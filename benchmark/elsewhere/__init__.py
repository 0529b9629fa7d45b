"""The same file in another runtime, or on another processor."""
