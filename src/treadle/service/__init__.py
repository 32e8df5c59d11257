"""The verbs: every change of a job passes here, one module a verb."""
