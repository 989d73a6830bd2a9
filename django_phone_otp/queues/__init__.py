"""Queues: how the keys of pending deliveries reach a worker, and what a worker runs. Layer 5.

Each module has a class that puts keys in, and the task that takes one out.
"""
