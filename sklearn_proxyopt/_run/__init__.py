"""One call of an optimizer, from samples to answer."""
