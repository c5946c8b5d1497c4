"""A worker process in miniature: opens one source from the cache, tells its hash, and ends when its input does.

python -m tests.storage.cache_reader '<Settings as JSON>' '<Artifact as JSON>'
"""

from __future__ import annotations

import hashlib
import json
import sys

from contracts.media import Artifact
from contracts.settings import Settings
from storage.cache import SourceCache
from storage.store import Store

settings = Settings(**json.loads(sys.argv[1]))
source = Artifact.model_validate_json(sys.argv[2])
cache = SourceCache(Store.from_settings(settings), settings.work_dir, settings.work_dir_bytes_max)
with cache.open(source) as path, path.open("rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest(), flush=True)
    sys.stdin.read()
