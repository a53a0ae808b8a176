"""Serves in this process until it is ended: `python serving.py SETTINGS [TOKEN ...]`, SETTINGS as JSON.

With "quick": true the work is done by quick_worker.py.
"""

import json
import sys
from pathlib import Path

from stylecine.server import guards, launch, service
from stylecine.server.limits import Settings

settings = json.loads(sys.argv[1])
if settings.pop("quick"):
    service.command = lambda told, *_: [sys.executable, str(Path(__file__).with_name("quick_worker.py")), told.model]
guards.PATIENT = launch.HEAD = settings.pop("patient")
launch.serve(Settings(Path(settings.pop("data"))).updated(settings), sys.argv[2:])
