"""What a benchmark found, in words, tables and files."""
