"""``GET /types``: what may be submitted here."""

from __future__ import annotations

from tests.api.conftest import Api, NewApi
from tests.builders import a_type


async def test_own_and_published_types_are_listed_by_name_with_their_policy_and_schema(api: Api) -> None:
    now = api.runtime.clock.now()
    await api.runtime.store.publish_types([a_type(name="AAA", published_at=now), a_type(name="GREET")], now)

    answer = await api.client.get("/types")

    assert answer.status_code == 200
    aaa, greet = answer.json()["types"]
    assert aaa == {
        "name": "AAA",
        "queue": "images",
        "maxAttempts": 5,
        "timeoutSeconds": 30.0,
        "origin": "published",
        "schema": {"type": "object"},
    }
    assert (greet["name"], greet["queue"], greet["maxAttempts"], greet["origin"]) == (
        "GREET",
        "greetings",
        3,
        "process",
    )
    assert greet["schema"]["$defs"]["Greeting"]["required"] == ["name"]


async def test_it_takes_no_parameters(api: Api) -> None:
    answer = await api.client.get("/types?a=1")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "unknown_parameter"


async def test_it_wants_a_key_where_there_are_keys(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": "tk_0123456789abcdef01234567"})

    assert (await api.client.get("/types")).status_code == 401
    allowed = await api.client.get("/types", headers={"Authorization": "Bearer tk_0123456789abcdef01234567"})
    assert allowed.status_code == 200


async def test_it_says_so_when_the_store_is_away(api: Api) -> None:
    await api.runtime.store.aclose()

    assert (await api.client.get("/types")).status_code == 503
