"""scripts/parity: compares the models with golden tensors."""
