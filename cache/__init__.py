"""What is never paid for twice: the response cache and the journal of a run."""
