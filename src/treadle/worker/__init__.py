"""The worker: claims jobs, runs user code beside its own loop, and settles what comes out."""
