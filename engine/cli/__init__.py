"""The command line: one file a command group, and the bootstrap that hands real things down."""
