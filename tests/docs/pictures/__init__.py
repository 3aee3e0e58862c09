"""The pictures of the documents, as SVG: drawn from what the program computes and prints, never by hand.

They stand on a ground of their own, so that they read alike on a light page and on a dark one, and name no font that a
reader would have to fetch.
"""
