"""Celery with a server as broker and result backend: `python celery_run.py PORT`.

A worker with two processes does a thousand tasks, some of which retry, a chord, a chain and tasks
with an ETA. Ends with 1 when a result is missing or wrong.
"""

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

TASKS = 1000
RETRIED = 50
PATIENCE_S = 120


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"celery: {what}: found {found!r}, expected {wanted!r}")


def value(result):
    """The value of a task. The client learns of it from a message; it asks for a subscription and
    does not wait for the answer, so that on a crowded machine the message may come before. Asking
    again looks the value up."""
    from celery.exceptions import TimeoutError

    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return result.get(timeout=5)
        except TimeoutError:
            print("celery: a result had to be asked for again", flush=True)
    sys.exit(f"celery: no result after {PATIENCE_S} s")


def thousand(jobs):
    plain = [jobs.double.delay(number) for number in range(TASKS - RETRIED)]
    retried = [jobs.second_time.delay(number) for number in range(RETRIED)]
    found = [value(result) for result in plain]
    expect("results", found, [2 * number for number in range(TASKS - RETRIED)])
    found = [value(result) for result in retried]
    expect("results of retried tasks", found, list(range(RETRIED)))


def canvas(jobs):
    from celery import chain, chord, group

    header = [jobs.double.s(number) for number in range(100)]
    expect("a chord", value(chord(header)(jobs.total.s())), 9900)
    chained = chain(jobs.double.s(1), jobs.double.s(), jobs.double.s()).delay()
    expect("a chain", value(chained), 8)
    grouped = group(jobs.double.s(number) for number in range(10)).delay()
    expect("a group", value(grouped), list(range(0, 20, 2)))


def in_time(jobs):
    due = time.time() + 1
    eta = datetime.now(timezone.utc) + timedelta(seconds=1)
    results = [jobs.late.apply_async((due,), eta=eta) for _ in range(10)]
    for result in results:
        seconds = value(result)
        if not -0.05 <= seconds <= 10:
            sys.exit(f"celery: a task with an ETA was run {seconds} s after it was due")


def control(jobs):
    answers = jobs.app.control.broadcast("ping", reply=True, limit=1, timeout=PATIENCE_S)
    expect("ping", [list(answer.values()) for answer in answers], [[{"ok": "pong"}]])
    revoked = jobs.double.apply_async((1,), countdown=60)
    revoked.revoke()
    expect("a result that was forgotten", forgotten(jobs), None)


def forgotten(jobs):
    result = jobs.double.delay(21)
    expect("a result", value(result), 42)
    result.forget()
    return jobs.app.AsyncResult(result.id).result


def main():
    os.environ["BROKER"] = f"redis://127.0.0.1:{sys.argv[1]}/0"
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    import jobs

    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-c", "2", "-l", "WARNING",
               "-E", "-n", "tested@%h"]
    environment = dict(os.environ, C_FORCE_ROOT="1", PYTHONWARNINGS="ignore")
    worker = subprocess.Popen(command, cwd=here, env=environment)
    try:
        for part in (thousand, canvas, in_time, control):
            began = time.monotonic()
            part(jobs)
            print(f"celery: {part.__name__} in {time.monotonic() - began:.1f} s", flush=True)
    finally:
        worker.terminate()
        status = worker.wait(30)
    expect("the worker's end", status, 0)
    print("celery: all well")


main()
