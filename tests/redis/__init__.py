"""Hints through real Redis and Valkey servers, and everything that can happen to these."""
