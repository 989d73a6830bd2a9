"""Measurements that are too big for the suite."""
