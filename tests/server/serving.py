"""Serves until the process is ended: `python serving.py SETTINGS [TOKEN ...]`, SETTINGS as JSON.

With "quick": true the work is done by quick_worker.py. "sweep": seconds between two sweeps;
"drawn": those that a browser has to draw the first loop.
"""

import json
import sys
from pathlib import Path

from stylecine.server import launch, security, service
from stylecine.server.settings import Settings

settings = json.loads(sys.argv[1])
if settings.pop("quick"):
    service.WORKER = "quick_worker:load"  # which is in this script's folder
service.FIRST_DRAWN = settings.pop("drawn", 0.0)
service.SWEEP_INTERVAL = settings.pop("sweep", service.SWEEP_INTERVAL)
security.BODY_TIMEOUT = launch.HEADER_TIMEOUT = settings.pop("timeout")
launch.MAX_CONNECTIONS = settings.pop("connections")
launch.serve(Settings(Path(settings.pop("data"))).updated(settings), sys.argv[2:])
