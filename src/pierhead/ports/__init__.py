"""What the house asks of the world outside: typed protocols, their values, their contracts in words."""
