"""Commands that the thin files in scripts/ run."""
