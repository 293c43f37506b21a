"""Judge against human, judge against judge: measures of agreement, their intervals and baselines."""
