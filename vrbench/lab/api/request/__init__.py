"""One call on its way through: its parameters, what its lists choose, and how its answer is worded."""
