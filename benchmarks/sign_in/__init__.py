"""What a sign-in by phone costs: this app, other packages, and the least that a site could do."""
