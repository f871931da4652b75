"""What the database keeps, noun by noun, and how a transaction is made of it."""
