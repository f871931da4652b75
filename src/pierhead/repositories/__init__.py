"""What a repository answers, by kind: hosted, proxy, group."""
