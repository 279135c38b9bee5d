"""Configurations: Python files with `get_config()`."""
