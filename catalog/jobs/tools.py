"""What jobs work with, and the knobs that a deployment may turn."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from catalog.domain.ports import Signer
from catalog.jobs.queue import DbosJobQueue
from catalog.jobs.retry import RetryPolicy
from catalog.jobs.steps import Steps
from catalog.remote.guarded import StoreHttp


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How jobs behave; seconds where nothing else is said.

    ``steps_per_workflow`` bounds what a resumed job reads again before it goes on. ``attempts`` is
    how often a job is begun without getting on before it fails.
    """

    pages_per_step: int = 5
    steps_per_workflow: int = 500
    probe_batch: int = 200
    probe_concurrency: int = 16
    probes_per_second: float = 500.0
    purge_chunk: int = 5000
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
