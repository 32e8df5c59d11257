"""A house with something of everything in it, for pages to show."""

from __future__ import annotations

from dataclasses import dataclass

from tests.browser.conftest import fail, is_running, status_of
from tests.flow.stack import Stack

MARKUP = (
    "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'>\x1b[31mred\x1b[0m \u202edesrever"
)


@dataclass(frozen=True)
class Scene:
    """The jobs that have pages of their own."""

    failed: str
    completed: str
    running: str
    dead: str

    def pages(self) -> dict[str, str]:
        """Every page there is, by a name for its picture."""
        return {
            "overview": "/admin/ui",
            "jobs": "/admin/ui/jobs",
            "jobs-filtered": "/admin/ui/jobs?status=failed&type=FAIL",
            "job-failed": f"/admin/ui/jobs/{self.failed}",
            "job-completed": f"/admin/ui/jobs/{self.completed}",
            "job-running": f"/admin/ui/jobs/{self.running}",
            "queues": "/admin/ui/queues",
            "workers": "/admin/ui/workers",
            "dead": "/admin/ui/dead",
            "jobs-none": "/admin/ui/jobs?type=NOBODY",
        }


def set_scene(stack: Stack) -> Scene:
    """Submit until there is one of every kind."""
    for n in range(3):
        stack.submit("ECHO", {"value": n})
    completed = stack.submit("CSV_EXPORT", {"data": [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]})
    stack.finish(completed)
    fail(stack, "SMTPRecipientsRefused: 550 5.1.1 <grace@example.com>: Recipient address rejected: User unknown")
    failed = fail(stack, MARKUP, priority="high")
    dead = fail(stack, "ValueError: the picture has no pixels")
    assert stack.client.post(f"/admin/jobs/{dead}/dlq").status_code == 200
    retrying = stack.submit("RETRY", {"text": "the gateway answered 502"})
    running = stack.submit("WAIT", {"seconds": 500, "password": "hunter2"})
    stack.submit("ECHO", {"value": 1}, delaySeconds=7200)
    for _ in range(2):
        stack.submit("PICTURE", {"text": "nobody serves this queue"})
    is_running(stack, running)
    status_of(stack, retrying, "retrying")
    return Scene(failed, completed, running, dead)
