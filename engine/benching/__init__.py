"""What a provider gives per minute and per coin: the sweep's own calls, timed under a known load."""
