"""Tokens that other systems signed for their jobs: read, checked, and turned into principals by trust rules."""
