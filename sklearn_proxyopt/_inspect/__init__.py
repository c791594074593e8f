"""What a fitted surrogate model says: what matters, how far one may move, what to expect."""
