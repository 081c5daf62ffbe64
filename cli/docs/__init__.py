"""The documentation site: what mkdocs builds it from, and the files in docs/ that are made by code."""
