"""What every room that speaks HTTP stands on: requests, guards, bodies, queries, refusals. It knows no endpoint."""
