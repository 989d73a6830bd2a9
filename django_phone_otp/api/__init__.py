"""The HTTP API: JSON in, the flow's outcome out. Layer 5."""
