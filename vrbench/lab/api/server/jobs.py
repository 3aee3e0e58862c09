"""Asynchronous jobs: they run side by side; callers look for their result with queryAsyncJobResult."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from vrbench.lab.api.accounts import events
from vrbench.lab.api.faults import api_faults
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import stamp
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Domain, Job, Json, Rule
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Stopping, Zone, new_id
from vrbench.lab.ground.port import GroundError

PENDING, DONE, FAILED = 0, 1, 2
WORKERS = 64  # more jobs than these wait for a free one, as they do on the server
MANAGEMENT_SERVER = 2130706433

log = logging.getLogger(__name__)


class Jobs:
    """The queue and its workers."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="lab-job")

    def submit(self, call: Call, task: Task) -> Json:
        """Queue the task; returns the body of the answer to the call."""
        job = Job(
            uuid=new_id(),
            account=call.caller,
            created=self._zone.clock.now(),
            command_class=call.shape.job_class(call.caller.is_root),
            instance_type=task.instance_type,
            instance=task.entity.uuid if task.entity and task.shows_instance else None,
        )
        with self._zone.lock:
            self._zone.remember(job)
            self._zone.jobs.append(job)
        parent = self._schedule_events(call, task)
        self._pool.submit(self._run, call, task, job, parent)
        created = {"id": task.entity.uuid} if task.creates and task.entity else {}
        return {**created, "jobid": job.uuid}

    def close(self) -> None:
        """Give up what waits and wait for what runs; the zone's stopping flag must be set before."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _schedule_events(self, call: Call, task: Task) -> str | None:
        kind = events.KINDS.get(call.shape.name)
        if kind is None:
            return None
        parent = None
        if task.creates and "Created" not in kind.left_out:
            parent = events.EventLog(self._zone, call.caller).record(kind, "Created", task.entity)
        scheduled = events.EventLog(self._zone, call.caller).record(kind, "Scheduled", task.entity, parent)
        return parent or scheduled

    def _run(self, call: Call, task: Task, job: Job, parent: str | None) -> None:
        kind = events.KINDS.get(call.shape.name)
        if kind is not None:
            events.EventLog(self._zone, call.caller).record(kind, "Started", task.entity, parent)
        try:
            done = self._with_job(api_faults.run(self._zone, call.shape.name, task.run), job)
            result, error = self._zone.version.narrow(call.shape.name, done), None
        except Stopping:
            return
        except (ApiError, GroundError) as caught:
            error = caught if isinstance(caught, ApiError) else errors.internal(str(caught))
            result = dict(error.job_result())
        except Exception:  # a bug of ours must not leave the caller polling for ever; the traceback is in the log
            log.exception("job %s (%s) failed unexpectedly", job.uuid, call.shape.name)
            error = errors.internal("Command failed due to Internal Server Error")
            result = dict(error.job_result())
        if kind is not None:
            events.EventLog(self._zone, call.caller).record(
                kind, "Error" if error else "Completed", task.entity, parent
            )
        with self._zone.lock:
            job.result, job.code, job.completed = result, error.code if error else 0, self._zone.clock.now()
            if error is None and isinstance(task.entity, Rule) and task.entity.removed:
                job.instance_type = job.instance = None  # of a rule that was deleted the server forgets what it was
            job.status = FAILED if error else DONE

    @staticmethod
    def _with_job(result: Json, job: Job) -> Json:
        """Name the job in a machine or router of its result, which counts as running until it is stored."""
        for name in ("virtualmachine", "router"):
            if "id" in result.get(name, ()):
                result[name] |= {"jobid": job.uuid, "jobstatus": PENDING}
        return result


def query_job(call: Call) -> Json:
    """Answer queryAsyncJobResult."""
    job = call.entity("jobid", Job)
    if job is None:
        raise errors.missing_parameter(call.shape.name, "jobid")
    call.check_access(job)
    return _job_view(job)


def list_jobs(call: Call) -> Json:
    """Answer listAsyncJobs: the pending ones only."""
    mine, first = call.scope(), call.moment("startdate") or 0.0
    jobs = [job for job in call.zone.jobs if job.status == PENDING and mine(job.account)]
    rows = [_job_view(job) for job in jobs if job.created >= first]
    return call.listing("asyncjobs", rows)


def _job_view(job: Job) -> Json:
    body: Json = {
        "accountid": job.account.uuid,
        "account": job.account.name,
        "domainid": job.account.domain.uuid,
        "domainpath": _long_path(job.account.domain),
        "userid": job.account.user["id"],
        "cmd": job.command_class,
        "jobstatus": job.status,
        "jobprocstatus": 0,
        "jobresultcode": job.code,
    }
    if job.status != PENDING:
        body |= {"jobresulttype": "object", "jobresult": job.result}
    if job.instance_type is not None:
        body["jobinstancetype"] = job.instance_type
    if job.instance is not None:
        body["jobinstanceid"] = job.instance
    if job.status == PENDING:
        body["managementserverid"] = MANAGEMENT_SERVER
    body["created"] = stamp(job.created)
    if job.status != PENDING:
        body["completed"] = stamp(job.completed)
    return body | {"jobid": job.uuid}


def _long_path(domain: Domain) -> str:
    return str(domain.body["path"])


COMMANDS = {"queryAsyncJobResult": query_job, "listAsyncJobs": list_jobs}
