"""A user's job type that only the worker has the code of."""

from typing import Annotated

import msgspec

from treadle import Retry, Treadle

app = Treadle()


class Thumbnail(msgspec.Struct, forbid_unknown_fields=True):
    """What a thumbnail is made of."""

    url: str
    width: Annotated[int, msgspec.Meta(ge=1)] = 100
    tags: list[str] = []


@app.job("THUMBNAIL", retry=Retry(attempts=4), timeout=30, queue="images")
def thumbnail(payload: Thumbnail) -> str:
    """Say what would have been made."""
    return f"{payload.url} at {payload.width}"
