"""The engine against a server that means it harm: what is played, what must follow, what is checked."""
