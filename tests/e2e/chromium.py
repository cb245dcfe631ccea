"""Headless Chromium, spoken to over its DevTools pipe: what a page looks like, and what it asks for and complains of."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 60
# Chromium, measured in the page: the contrast of each text with what is behind it (WCAG 2.1, 1.4.3).
CONTRAST = """(() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const f = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const behind = e => { const layers = [];
    for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) layers.push(c);
      if (c.length === 3 || c[3] === 1) break; }
    let under = layers.pop() || [255, 255, 255];
    while (layers.length) { const c = layers.pop(), a = c.length < 4 ? 1 : c[3]; under = under.slice(0, 3).map((v, i) => v * (1 - a) + c[i] * a); }
    return under; };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!/[\\p{L}\\p{N}]/u.test(text) || e.closest('svg') || !e.getClientRects().length) continue;
    const s = getComputedStyle(e), a = light(rgb(s.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`); }
  return bad; })()"""
# What reaches beyond the page's width, unless it lies in something that scrolls by itself.
WIDE = """(() => { const width = document.documentElement.clientWidth, bad = [];
  for (const e of document.body.querySelectorAll('*')) { if (e.closest('.scroll') || e.closest('.skip') || e.closest('thead')) continue;
    const r = e.getBoundingClientRect(); if (r.right > width + 1 || r.left < -1) bad.push(e.outerHTML.slice(0, 120)); }
  return {bad, scroll: document.documentElement.scrollWidth, width}; })()"""


def program():
    return shutil.which("chromium")


class Chromium:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="postilion-chromium-")
        # Descriptors 3 and 4 of the child: its commands come in by one, its answers go out by the other.
        commands, self.to = os.pipe()
        self.answers, answers = os.pipe()
        shell = f'exec 3<&{commands} 4>&{answers}; exec "$0" "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={self.profile}", "--remote-debugging-pipe"],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.number, self.buffer, self.session = 0, b"", None
        self.complaints, self.asked = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _read(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            part = os.read(self.answers, 1 << 20)
            assert part, "Chromium has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))
        elif method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        return method

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._read(until)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def open(self, url, width, height=900, dark=False):
        """What it complained of and asked for since then is in `complaints` and `asked`."""
        self.complaints, self.asked = [], []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while self._note(self._read(until)) != "Page.loadEventFired":
            pass
        return self

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, path, height=None):
        """The whole page, or its first `height` pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height or size["height"]), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()
        os.close(self.to)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)
