"""Plain words and the files they are read from: no network, no clock, no console."""
