"""What the doors' OpenAPI schemas have in common. Between the doors (layer 5) and the flow."""
