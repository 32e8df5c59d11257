"""What makes the generated pages of docs/: a module a subject, each from the code alone."""
