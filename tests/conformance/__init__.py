"""What every backend must do, written against the protocols alone; ``tests.backends`` says which there are."""
