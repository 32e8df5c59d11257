"""The job type: shipping an order that is in the database."""

import msgspec

from treadle import Treadle

app = Treadle()


class Order(msgspec.Struct):
    number: int


@app.job("SHIP")
async def ship(order: Order) -> dict[str, int]:
    return {"shipped": order.number}
