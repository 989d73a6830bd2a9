"""A small site that logs people in by phone, and a local stand-in for the provider.

Nothing here is part of the installed package: it shows how a site uses it. Start with
`python -m example_project.demo`.
"""
