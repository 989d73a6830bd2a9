"""Commands for operators. Layer 5."""
