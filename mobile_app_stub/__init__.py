"""Phone apps that embed artifacts: their templates, and what fills and serves them."""
