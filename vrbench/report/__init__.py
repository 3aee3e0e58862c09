"""Turns stored results into tables, CSV and pages; computes nothing."""
