"""``python -m treadle``."""

from treadle.cli.main import run

run()
