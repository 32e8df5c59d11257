"""The admin page's route table."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Route

from treadle.admin.actions import Actions
from treadle.admin.assets import PREFIX, Assets
from treadle.admin.html import Html
from treadle.admin.live import Live
from treadle.admin.pages import Pages
from treadle.admin.pulse import Pulse
from treadle.service.runtime import Runtime
from treadle.web.doors import Door, routes_of
from treadle.web.guards import Guard, Guards


def routes(runtime: Runtime, pulse: Pulse, guards: Guards) -> list[Route]:
    """Everything under ``/admin/ui``, for the application that serves ``/admin``."""
    assets = Assets()
    pages = Pages(runtime, pulse, Html(assets))
    return routes_of(doors(pages, Actions(runtime, pulse), Live(pulse), assets), guards, pages.explain)


def doors(pages: Pages, actions: Actions, live: Live, assets: Assets) -> Sequence[Door]:
    """The route table; every row asks for the admin login, style sheets and scripts too."""
    return (
        Door("GET", "/admin/ui", Guard.ADMIN, pages.overview),
        Door("GET", "/admin/ui/", Guard.ADMIN, pages.home),
        Door("GET", "/admin/ui/jobs", Guard.ADMIN, pages.jobs),
        Door("GET", "/admin/ui/jobs/{job_id}", Guard.ADMIN, pages.job),
        Door("GET", "/admin/ui/jobs/{job_id}/file", Guard.ADMIN, pages.file),
        Door("POST", "/admin/ui/jobs/{job_id}/retry", Guard.ADMIN, actions.retry),
        Door("POST", "/admin/ui/jobs/{job_id}/dlq", Guard.ADMIN, actions.bury),
        Door("POST", "/admin/ui/jobs/{job_id}/cancel", Guard.ADMIN, actions.cancel),
        Door("GET", "/admin/ui/queues", Guard.ADMIN, pages.queues),
        Door("POST", "/admin/ui/queues/{name}/pause", Guard.ADMIN, actions.pause),
        Door("POST", "/admin/ui/queues/{name}/resume", Guard.ADMIN, actions.resume),
        Door("GET", "/admin/ui/workers", Guard.ADMIN, pages.workers),
        Door("GET", "/admin/ui/dead", Guard.ADMIN, pages.dead),
        Door("POST", "/admin/ui/dead/replay", Guard.ADMIN, actions.replay),
        Door("GET", "/admin/ui/live", Guard.ADMIN, live.stream),
        Door("GET", "/admin/ui/pulse", Guard.ADMIN, live.pulse),
        Door("GET", "/admin/ui/series", Guard.ADMIN, live.series),
        Door("GET", PREFIX + "/{version}/{name:path}", Guard.ADMIN, assets.get),
    )
