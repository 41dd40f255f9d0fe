"""What is really used reaches who asks: a driver by script, and the kernel's word on memory."""

import os
import shutil
import unittest

from daemon_case import Coordinator, CoordinatorCase, wait_until

GPU = """
[resource vram0]
kind = gpu_memory
capacity = 1000
[component trainer]
weight = 1
"""


class Observed(CoordinatorCase):
    def setUp(self):
        super().setUp()
        self.daemon.stop()

    def start(self, script):
        shutil.copy(os.path.join(os.environ["FAKE_NVML_DIR"], "libfake-nvml-3.so"),
                    os.path.join(self.folder, "libnvidia-ml.so.1"))
        before = dict(os.environ)
        os.environ |= {"FAKE_NVML": script, "LD_LIBRARY_PATH": self.folder + ":" + before.get("LD_LIBRARY_PATH", "")}
        try:
            self.daemon = Coordinator(self.folder, resources=GPU)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def foreign(self):
        return self.daemon.metrics()["jimbot_resource_foreign"]['resource="vram0"']

    def test_what_a_foreign_process_uses_is_not_given_out(self):
        self.start("used=600 c=1:600")
        self.assertTrue(wait_until(lambda: self.foreign() == 600))
        self.assertEqual(self.request(vram0=401)[0], 429)
        self.assertEqual(self.request(vram0=400)[0], 200)

    def test_a_gpu_that_is_lost_gives_nothing(self):
        self.start("used=600 memory=15 memory2=15")
        self.assertTrue(wait_until(lambda: self.foreign() == 1000))
        self.assertEqual(self.request(vram0=1)[0], 429)

    def test_without_a_driver_the_promises_count(self):
        self.start("init=9")
        self.assertEqual(self.request(vram0=1000)[0], 200)


if __name__ == "__main__":
    unittest.main()
