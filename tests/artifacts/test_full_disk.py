"""A disk that is full, in a child with a limit on file sizes: an error, nothing half, nothing left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHILD = """
import resource, signal, sys
from pathlib import Path

from treadle.artifacts.folder import ArtifactFolder

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write over the limit is an OSError, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
folder = ArtifactFolder(Path(sys.argv[1]))
folder.prepare()


def write(name, size):
    told = []
    try:
        with folder.write("job", 1, name, "text/plain", deterministic=False, published=told.append) as file:
            for _ in range(size // 1000):
                file.write(b"x" * 1000)
    except OSError as error:
        print(name, type(error).__name__, told)
    else:
        print(name, "published", told[0].size_bytes)


write("small", 50_000)
write("in-the-buffer", 200_000)
write("while-writing", 900_000)
write("after", 50_000)
"""


def test_a_full_disk_is_an_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == [
        "small published 50000",
        "in-the-buffer OSError []",
        "while-writing OSError []",
        "after published 50000",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.1.after", "job.1.small"]
    assert all(path.stat().st_size == 50_000 for path in tmp_path.iterdir())
