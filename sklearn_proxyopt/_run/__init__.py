"""One call of an optimizer, from rows to answer."""
