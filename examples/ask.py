"""Ask each URL and print the answer. Waits up to ten seconds for a server
that is not there yet; ends with 1 when one stays silent."""

import sys
import time
import urllib.error
import urllib.request

deadline = time.monotonic() + 10
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

for url in sys.argv[1:]:
    while True:
        try:
            with direct.open(url, timeout=5) as answer:
                print(f"GET {url}  {answer.status}  {answer.read().decode().strip()}")
            break
        except (urllib.error.URLError, OSError) as err:
            if time.monotonic() > deadline:
                sys.exit(f"GET {url}: {err}")
            time.sleep(0.05)
