"""What the project says about itself: log lines, and figures."""
