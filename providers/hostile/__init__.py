"""A hostile server on the loopback interface: what it plays, and what it notes down."""
