"""What an operator does with a running stack."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Stack


def test_the_admin_routes_want_the_login(stack: Stack) -> None:
    if stack.login is None:
        pytest.skip("ADMIN_USER and ADMIN_PASS are not set: this stack runs without a login")
    user, password = stack.login
    for wrong in (None, (user, password + "x"), (user + "x", password)):
        answer = stack.client.get("/admin/jobs", auth=wrong)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert stack.client.get("/admin/jobs", auth=stack.login).status_code == 200


def test_a_cancelled_job_can_be_given_another_life(stack: Stack) -> None:
    job_id = stack.submit("CSV_EXPORT", {"data": [{"a": 1}]}, delaySeconds=3600)
    assert stack.client.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert stack.finish(job_id)["status"] == "cancelled"

    answer = stack.admin.post(f"/admin/jobs/{job_id}/retry")

    assert answer.status_code == 200, answer.text
    assert stack.finish(job_id)["status"] == "completed"
    assert (stack.output / f"{job_id}.csv").exists()


def test_jobs_workers_and_queues_are_listed(stack: Stack) -> None:
    job_id = stack.submit("CSV_EXPORT", {"data": []})
    stack.finish(job_id)
    listed = stack.admin.get("/admin/jobs", params={"status": "completed", "type": "CSV_EXPORT", "limit": "200"})
    assert job_id in {job["id"] for job in listed.json()["jobs"]}
    assert stack.admin.get("/admin/workers").json()["workers"]
    assert "default" in {queue["name"] for queue in stack.admin.get("/admin/queues").json()["queues"]}
    for path in ("/admin/failed", "/admin/dlq", "/admin/stats"):
        assert stack.admin.get(path).status_code == 200


def test_a_job_that_ended_well_is_not_given_another_life(stack: Stack) -> None:
    job_id = stack.submit("CSV_EXPORT", {"data": []})
    stack.finish(job_id)
    assert stack.admin.post(f"/admin/jobs/{job_id}/retry").status_code == 409


def test_another_sites_page_changes_nothing(stack: Stack) -> None:
    job_id = stack.submit("CSV_EXPORT", {"data": []}, delaySeconds=3600)
    answer = stack.admin.post(f"/admin/jobs/{job_id}/cancel", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert stack.client.post(f"/jobs/{job_id}/cancel").status_code == 200
