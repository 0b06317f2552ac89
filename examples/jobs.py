"""A worker: does a job every two seconds and says so."""

import itertools
import signal
import sys
import threading

stop = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stop.set())

for job in itertools.count(1):
    print(f"job {job} done", flush=True)
    if stop.wait(2):
        break

print("worker ends", file=sys.stderr, flush=True)
