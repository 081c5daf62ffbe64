"""Real shapes that a Debian package brings: its catalogue read, pieces chosen by licence, words for them."""
