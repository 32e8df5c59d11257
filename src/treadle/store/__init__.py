"""The truth: where jobs are kept. ``protocol`` is the contract, one folder a backend."""
