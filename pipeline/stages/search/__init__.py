"""Architecture search: a space, its costs, the first steps of its candidates, the answer."""
