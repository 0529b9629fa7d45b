"""Phone apps with embedded artifacts: their templates, and the code that fills and serves them."""
