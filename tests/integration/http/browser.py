"""A headless chromium that runs JavaScript on a page, spoken to through its debugging pipe."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page, which came from `url`, so that its scripts are of that origin."""

    def __init__(self, url):
        self.home = tempfile.mkdtemp(prefix="jimbot-chromium-")
        to_child, self.out = os.pipe()
        self.inp, from_child = os.pipe()

        def descriptors():
            # The pipe is descriptors 3 and 4 of the program, wherever they lie here.
            a, b = os.dup(to_child), os.dup(from_child)
            high = [os.dup2(a, 70), os.dup2(b, 71)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
             "--user-data-dir=" + self.home, "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.n = 0
        self.held = b""
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        self.run(f"new Promise(r => {{ const look = () => location.href === {json.dumps(url)} && "
                 "document.readyState === 'complete' ? r(1) : setTimeout(look, 10); look(); })")

    def _message(self, until):
        while b"\0" not in self.held:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.inp], [], [], left)[0]:
                raise TimeoutError("the browser says nothing")
            data = os.read(self.inp, 65536)
            if not data:
                raise EOFError("the browser is gone")
            self.held += data
        message, _, self.held = self.held.partition(b"\0")
        return json.loads(message)

    def call(self, method, seconds=30.0, **params):
        """One call of the DevTools protocol."""
        self.n += 1
        request = {"id": self.n, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + seconds
        while (answer := self._message(until)).get("id") != self.n:
            pass
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def run(self, script):
        """The value of a script, or of the promise it is."""
        for _ in range(50):
            try:
                result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
                break
            except RuntimeError as e:
                # The page was replaced by the one that was asked for.
                if "context" not in str(e) and "navigated" not in str(e):
                    raise
                time.sleep(0.05)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def close(self):
        os.close(self.out)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.inp)
        shutil.rmtree(self.home, ignore_errors=True)
