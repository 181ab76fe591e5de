"""scikit-learn as a run loads it: one thread is enough."""

import subprocess
import sys

from tests.support.client import ROOT


def test_a_run_fits_in_one_thread() -> None:
    """OpenMP counts its threads for each thread that asks: the limit must be set by the one that fits."""
    program = (
        "import threading\n"
        "from threadpoolctl import threadpool_info\n"
        "from tests.support.world import INSERTS, World\n"
        "start = threading.Thread.start\n"
        "threading.Thread.start = lambda thread: (start(thread), thread.join())\n"  # the import is over in time
        "world = World()\n"
        "world.write(INSERTS)\n"
        "assert world.run() is None\n"
        "print({pool['num_threads'] for pool in threadpool_info()})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"
