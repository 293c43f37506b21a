"""One call, many calls, people: the sweep itself, its limits, its money and its reports."""
