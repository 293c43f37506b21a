"""A benchmark as one HTML page that loads nothing and runs nothing."""
