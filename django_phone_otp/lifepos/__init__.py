"""A door in the shape of the LIFE POS API (v6), for apps that speak it already. Layer 5."""
