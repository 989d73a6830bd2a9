"""What a sign-in leaves behind and holds on to: rows, bytes, keys, connections; and CPU."""
