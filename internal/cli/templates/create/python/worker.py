"""Does something now and then."""

import signal
import sys
import time

signal.signal(signal.SIGINT, lambda *_: sys.exit(0))

jobs = 0
while True:
    jobs += 1
    print(f"job {jobs} done")
    time.sleep(2)
