"""What scripts/evaluate measures on a pair with procedural kinds: which shapes it makes, how they are judged, goals."""
