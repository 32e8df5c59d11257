"""A job's file over HTTP, at its edges."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.api.asgi import GONE, HOST, call, piece
from tests.api.conftest import Api
from tests.api.test_contract import published, run_one
from treadle.states import Verb


async def listed(api: Api, **changes: object) -> str:
    """A completed job whose listed file is not what was written."""
    job_id = await api.submit()
    (api.runtime.artifacts.root / f"{job_id}.csv").write_bytes(b"0123456789")
    artifact = {"name": "x", "path": f"{job_id}.csv", "sizeBytes": 10, "sha256": "0" * 64, "mediaType": "text/csv"}
    artifacts = json.dumps([{**artifact, **changes}]).encode()
    await run_one(api, job_id, Verb.COMPLETE, result=b"null", artifacts=artifacts)
    return job_id


def open_files(api: Api) -> list[str]:
    """Files of the output folder that this process holds open (where the system tells)."""
    table = Path("/proc/self/fd")
    held = [entry.readlink() for entry in table.iterdir() if entry.is_symlink()] if table.exists() else []
    return [path.name for path in held if path.is_relative_to(api.runtime.artifacts.root)]


@pytest.mark.parametrize(
    "wanted", ["bytes=5-2", "bytes=0-1,4-5", "bytes=-", "bytes=x-1", "bytes=１-2", "lines=0-1", "bytes 0-1", ""]
)
async def test_a_range_that_is_none_is_ignored(api: Api, wanted: str) -> None:
    job_id = await published(api, b"0123456789")
    answer = await api.client.get(f"/jobs/{job_id}/result", headers=[(b"Range", wanted.encode())])
    assert (answer.status_code, answer.content) == (200, b"0123456789")


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-0", b"0"), ("bytes=9-9", b"9"), ("bytes=-99", b"0123456789"), ("BYTES=0-9999999999", b"0123456789")],
)
async def test_a_range_is_cut_to_the_file(api: Api, wanted: str, part: bytes) -> None:
    job_id = await published(api, b"0123456789")
    answer = await api.client.get(f"/jobs/{job_id}/result", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, part)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0", "bytes=10-20"])
async def test_a_range_past_the_end_is_told_the_size(api: Api, wanted: str) -> None:
    job_id = await published(api, b"0123456789")
    answer = await api.client.get(f"/jobs/{job_id}/result", headers={"Range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
    assert answer.json()["type"] == "/problems/range-not-satisfiable"
    assert open_files(api) == []


async def test_a_range_holds_only_for_the_file_it_was_meant_for(api: Api) -> None:
    job_id = await published(api, b"0123456789")
    path = f"/jobs/{job_id}/result"
    etag = (await api.client.get(path)).headers["etag"]
    for condition, status in ((etag, 206), (f"W/{etag}", 200), ('"x"', 200), ("Mon, 04 May 2026 12:00:00 GMT", 200)):
        answer = await api.client.get(path, headers={"Range": "bytes=0-1", "If-Range": condition})
        assert answer.status_code == status


async def test_a_client_that_has_the_file_does_not_get_it_again(api: Api) -> None:
    job_id = await published(api, b"0123456789")
    path = f"/jobs/{job_id}/result"
    etag = (await api.client.get(path)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = await api.client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await api.client.get(path, headers={"If-None-Match": '"x"'})).status_code == 200


async def test_an_empty_file_is_a_file(api: Api) -> None:
    job_id = await published(api, b"")
    for headers in ({}, {"Range": "bytes=0-"}):
        answer = await api.client.get(f"/jobs/{job_id}/result", headers=headers)
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


async def test_a_large_file_comes_whole_and_its_descriptor_goes(api: Api) -> None:
    data = os.urandom(1_000_003)
    job_id = await published(api, data)
    assert (await api.client.get(f"/jobs/{job_id}/result")).content == data
    part = await api.client.get(f"/jobs/{job_id}/result", headers={"Range": "bytes=300000-900000"})
    assert part.content == data[300_000:900_001]
    assert (await api.client.head(f"/jobs/{job_id}/result")).headers["content-length"] == "1000003"
    assert open_files(api) == []


async def test_a_client_that_leaves_ends_the_reading(api: Api) -> None:
    job_id = await published(api, bytes(5_000_000))
    told = await call(api.app, "GET", f"/jobs/{job_id}/result", [piece(), GONE], [HOST])
    assert len(told.body) < 5_000_000
    assert open_files(api) == []


@pytest.mark.parametrize(
    ("media_type", "told"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/plain; charset=latin-1", "text/plain; charset=latin-1"),
        ("image/png", "image/png"),
    ],
)
async def test_the_media_type_is_the_handlers_and_text_has_an_encoding(api: Api, media_type: str, told: str) -> None:
    job_id = await listed(api, mediaType=media_type)
    answer = await api.client.get(f"/jobs/{job_id}/result")
    assert (answer.status_code, answer.headers["content-type"]) == (200, told)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.csv"'


@pytest.mark.parametrize("changes", [{"sizeBytes": 11}, {"path": "../secret"}, {"path": ".hidden"}, {"path": "gone"}])
async def test_a_file_that_is_not_the_jobs_is_gone(api: Api, changes: dict[str, object]) -> None:
    (api.runtime.artifacts.root.parent / "secret").write_bytes(b"0123456789")
    answer = await api.client.get(f"/jobs/{await listed(api, **changes)}/result")
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/gone")
    assert open_files(api) == []


async def test_no_link_is_followed(api: Api) -> None:
    job_id = await published(api, b"0123456789")
    file = api.runtime.artifacts.root / f"{job_id}.csv"
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))
    assert (await api.client.get(f"/jobs/{job_id}/result")).status_code == 410
