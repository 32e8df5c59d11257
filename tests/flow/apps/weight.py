"""A job type that tells what its process has imported."""

import sys

from treadle import Treadle

app = Treadle()


@app.job("IMPORTED")
async def imported(payload: dict[str, str]) -> list[str]:
    """The packages, each once."""
    return sorted({name.partition(".")[0] for name in sys.modules})
