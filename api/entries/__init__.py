"""From terms to entries: how many there are, where they stand, and what they are."""
