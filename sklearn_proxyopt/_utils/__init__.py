"""What every layer uses and no domain owns."""
