"""The dashboard: what a store is doing, in a browser. Plain pages and modules in `static/`, with nothing to build and nothing
from elsewhere; `insight` gives what they ask for beside the API, `live` what is sent once a second, `shell` the files.
"""

from fastapi import APIRouter

from motion.server.dashboard import insight, live, shell

router = APIRouter()
for each in (insight, live, shell):
    router.include_router(each.router)

OPEN_PATHS = shell.OPEN_PATHS
"""What is answered without a token: the page itself and its files, in which there is nothing of the store."""
