"""scripts/parity: the models against golden tensors."""
