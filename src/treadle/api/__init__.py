"""The HTTP room: routes, guards, bodies and problems; reaches the store through the verbs only."""
