"""What starts Treadle in containers: compose.yaml, Dockerfile, and the workflow that runs them."""
