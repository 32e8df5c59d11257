from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.clock import wall_now
from treadle.ids import JobId, created_at_of, new_job_id, new_worker_id, parse_job_id


def test_job_ids_of_one_process_rise_strictly() -> None:
    ids = [new_job_id() for _ in range(20_000)]

    assert ids == sorted(set(ids))


def test_job_ids_are_unique_over_threads() -> None:
    made: list[JobId] = []

    def make() -> None:
        made.extend([new_job_id() for _ in range(2_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 8_000


def test_a_job_id_is_a_canonical_uuid_of_version_7() -> None:
    made = new_job_id()

    read = uuid.UUID(made)
    assert str(read) == made
    assert (read.version, read.variant) == (7, uuid.RFC_4122)


def test_a_job_id_tells_when_it_was_made() -> None:
    before = wall_now()
    made = new_job_id()
    after = wall_now()

    # Milliseconds, cut off; ids that would not rise borrow from the future a little.
    assert before - timedelta(milliseconds=2) <= created_at_of(made)
    assert created_at_of(made) <= after + timedelta(seconds=1)


def test_the_moment_inside_an_id_is_read_to_the_millisecond() -> None:
    # The example of RFC 9562, appendix A.6: Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00.
    example = JobId("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")

    assert created_at_of(example) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_worker_ids_are_random_and_never_repeat() -> None:
    ids = {new_worker_id() for _ in range(100)}

    assert len(ids) == 100
    assert {uuid.UUID(one).version for one in ids} == {4}


def test_an_id_is_read_back_as_it_was_made() -> None:
    made = new_job_id()

    assert parse_job_id(made) == made


def test_an_upper_case_id_means_the_same_job() -> None:
    made = new_job_id()

    assert parse_job_id(made.upper()) == made


GOOD = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("-", ""),
        "{" + GOOD + "}",
        "urn:uuid:" + GOOD,
        GOOD.replace("0", "٠"),  # a zero of another script
        GOOD.replace("f", "g"),
        GOOD[:8] + "_" + GOOD[9:],
        "..%2f..%2fetc%2fpasswd",
        "' OR 1=1--",
        "<script>",
        GOOD[:-1] + "\0",
        GOOD[:-1] + "\ud800",
    ],
)
def test_what_is_no_uuid_in_its_usual_form_is_no_id(text: str) -> None:
    assert parse_job_id(text) is None


# A named alphabet: hypothesis takes seconds to build its table of all characters.
@given(
    st.text("0aAfFgG-٠{} \n\0\ud800", max_size=40) | st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper())
)
@settings(max_examples=60, deadline=None)
def test_any_text_is_an_id_in_canonical_form_or_none(text: str) -> None:
    parsed = parse_job_id(text)

    if parsed is not None:
        assert parsed == str(uuid.UUID(text))
