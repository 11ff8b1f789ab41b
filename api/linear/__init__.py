"""The algebra: programs of numbers, linear expressions, and the terms they reduce to. It makes no entries."""
