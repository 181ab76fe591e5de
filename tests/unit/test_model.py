"""A run limits scikit-learn to one thread."""

import subprocess
import sys

from tests.support.client import ROOT


def test_a_run_fits_in_one_thread() -> None:
    """OpenMP limits threads for each calling thread: the limit must be set by the thread that fits."""
    program = (
        "import threading\n"
        "from threadpoolctl import threadpool_info\n"
        "from tests.support.world import INSERTS, World\n"
        "start = threading.Thread.start\n"
        "threading.Thread.start = lambda thread: (start(thread), thread.join())\n"  # import in the foreground
        "world = World()\n"
        "world.write(INSERTS)\n"
        "assert world.run() is None\n"
        "print({pool['num_threads'] for pool in threadpool_info()})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"
