"""What jobs work with, and the knobs that a deployment may turn."""

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from catalog.domain.ports import Signer
from catalog.jobs.queue import DbosJobQueue
from catalog.jobs.retry import RetryPolicy
from catalog.jobs.steps import Steps
from catalog.remote.guarded import StoreHttp
from catalog.storage.jobs import MAX_IMAGES


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How jobs behave; seconds where nothing else is said.

    ``steps_per_workflow`` bounds what a resumed job reads again before it goes on. ``attempts`` is
    how often a job is begun without getting on before it fails. After ``turn_seconds`` a job goes
    to the end of the queue, so that slow ones don't keep others waiting. Operations that have ended
    are kept for ``operation_retention``.
    """

    pages_per_step: int = 5
    steps_per_workflow: int = 500
    probe_batch: int = 200
    probe_concurrency: int = 16
    probes_per_second: float = 500.0
    purge_chunk: int = 5000
    turn_seconds: float = 60.0
    max_images_per_bucket: int = MAX_IMAGES
    operation_retention: timedelta = timedelta(days=30)
    watch_seconds: float = 0.5
    attempts: int = 5
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything a job reaches outside itself."""

    engine: AsyncEngine
    steps: Steps
    queue: DbosJobQueue
    signer: Signer
    http: StoreHttp
    settings: JobSettings
