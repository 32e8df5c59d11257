"""Two orders, each with its job in the order's own transaction; the second one is taken back."""

import asyncio
import os

import asyncpg
from orders import Order, app

from treadle import AsyncClient


class OutOfStock(Exception):
    pass


async def place(connection: asyncpg.Connection, number: int, in_stock: bool) -> str:
    async with connection.transaction():
        await connection.execute("INSERT INTO orders VALUES ($1)", number)
        job_id = await app.submit("SHIP", Order(number), connection=connection)
        if not in_stock:
            raise OutOfStock
    return job_id


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("CREATE TABLE orders (number int PRIMARY KEY)")

    job_id = await place(connection, 1, in_stock=True)
    async with AsyncClient("http://127.0.0.1:3000") as client:
        job = await client.wait(job_id, timeout_seconds=30)
    print(f"order 1 is placed, its job {job.status} with {job.result}")

    try:
        await place(connection, 2, in_stock=False)
    except OutOfStock:
        orders = await connection.fetchval("SELECT count(*) FROM orders")
        jobs = await connection.fetchval("SELECT count(*) FROM jobs WHERE type = 'SHIP'")
        print(f"order 2 is taken back: {orders} order, {jobs} job")
    await connection.close()
    await app.aclose()


asyncio.run(main())
