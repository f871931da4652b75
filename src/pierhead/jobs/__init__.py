"""Background steps, and the one loop that repeats them."""
