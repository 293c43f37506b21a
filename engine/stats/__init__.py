"""How sure a leaderboard is: intervals, paired comparisons, ranks that can be told apart."""
