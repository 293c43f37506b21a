"""What people look at when a sweep is done: one file a format."""
