"""What can be known before anything is built, and what a cloud has to offer."""
