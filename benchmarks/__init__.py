"""Timings of the flows beside their networks alone and beside other libraries."""
