"""What may happen at the same time, told with real stores."""
