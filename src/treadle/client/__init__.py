"""The Python client of the HTTP interface: ``Client`` for plain code, ``AsyncClient`` for asyncio.

One set of rules serves both: ``verbs`` says what to ask and what an answer means, and never waits or sends; the two
classes do that, each in its own way.
"""

from treadle.client.awaiting import AsyncClient
from treadle.client.blocking import Client
from treadle.client.records import Artifact, JobRecord, JobsPage, Progress
from treadle.wire import JobDraft

__all__ = ["Artifact", "AsyncClient", "Client", "JobDraft", "JobRecord", "JobsPage", "Progress"]
