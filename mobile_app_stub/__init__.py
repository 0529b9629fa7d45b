"""Templates of phone apps, and the code that embeds artifacts in them and serves the web app."""
