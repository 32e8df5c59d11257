"""The HTTP room: one route table, one noun a module. Reaches jobs through ``service`` alone."""
