"""Lays figures out as tables, files and pictures; takes the means over trials."""
