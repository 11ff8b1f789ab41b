"""Linear maps: a plan with the numbers of a point, and maps put together from maps."""
