"""What is committed as a whole: plain functions of a transaction. Only these change rows."""
