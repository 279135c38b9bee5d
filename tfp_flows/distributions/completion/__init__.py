"""Completion: draws of the unknown units of an event given the known ones."""
