"""The process that holds the models: what loads and runs them."""
