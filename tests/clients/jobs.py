"""Celery's tasks for celery_run.py; the worker imports this file. The broker is told in BROKER."""

import os

from celery import Celery

app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    result_expires=600,
    task_acks_late=True,
    worker_prefetch_multiplier=8,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 60},
)


@app.task
def double(number):
    return 2 * number


@app.task(bind=True, max_retries=3)
def second_time(self, number):
    """Fails at its first attempt."""
    if self.request.retries == 0:
        raise self.retry(countdown=0.05)
    return number


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def late(due):
    """Answers by how many seconds it was run after it was due."""
    import time

    return time.time() - due
