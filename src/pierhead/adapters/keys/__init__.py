"""What an installation signs with: tokens, and records of promotions."""
