"""A headless Chromium driven through its DevTools protocol: as much as taking pictures of pages needs."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

WIDTH, HEIGHT = 1360, 860
WAIT_S = 30.0


class Page:
    """One tab. Elements are found by a JavaScript expression, or by the text that they show."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(await self._connection.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """The first truthy value of `expression`; a page that is being loaded has none."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    if found := await self.value(f"(() => {{ try {{ return {expression} }} catch {{}} }})()"):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(f"never came true in the page: {expression}") from None

    async def until_text(self, *texts: str) -> None:
        """In the page itself, or in one of its frames."""
        bodies = "[document, ...[...document.querySelectorAll('iframe')].map(one => one.contentDocument)]"
        for text in texts:
            await self.until(f"{bodies}.some(one => one?.body.innerText.includes({json.dumps(text)}))")

    async def click(self, text: str, selector: str = "button, a, [role=menuitem], [role=option], li") -> None:
        """The last visible element of `selector` whose text begins with `text`."""
        await self.click_element(
            f"[...document.querySelectorAll({json.dumps(selector)})].filter(e => e.offsetParent !== null"
            f" && e.innerText.trim().startsWith({json.dumps(text)})).at(-1)"
        )

    async def click_element(self, expression: str) -> None:
        """As a person does, so that whatever listens to the pointer notices."""
        await self.until(f"!!({expression})")
        place = await self.value(
            f"(() => {{ const e = {expression}; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2} })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    async def type(self, text: str) -> None:
        """Into whatever has the focus."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else ""
            )

    async def resize(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def settle(self) -> None:
        """Until everything has stopped moving that will."""
        moves = "one.playState === 'running' && one.effect.getTiming().iterations !== Infinity"
        await self.until(f"document.getAnimations().every(one => !({moves}))")

    async def picture(self, file: Path, region: str | None = None) -> None:
        """PNG of what the window shows, or of the element that the expression `region` names."""
        clip: dict[str, Any] = {}
        if region is not None:
            box = await self.value(
                f"(() => {{ const r = ({region}).getBoundingClientRect();"
                " return {x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height} })()"
            )
            clip = {"clip": {**box, "scale": 1}, "captureBeyondViewport": True}
        answer = await self.call("Page.captureScreenshot", format="png", **clip)
        file.write_bytes(base64.b64decode(answer["data"]))


@asynccontextmanager
async def chromium(program: str) -> AsyncIterator[Page]:
    """A fresh browser without any history; it is gone at the end."""
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en-US"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}"),
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            # "DevTools listening on ws://127.0.0.1:PORT/devtools/browser/ID"
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                if not line:
                    raise RuntimeError(f"{program} ended before it could be driven")
            address = line.decode().split()[-1]
            drain = asyncio.create_task(process.stderr.read())
            async with websockets.connect(address, max_size=None, proxy=None) as browser:
                made = await Page(browser).call("Target.createTarget", url="about:blank")
            tab = address.rpartition("/browser/")[0] + f"/page/{made['targetId']}"
            async with websockets.connect(tab, max_size=None, proxy=None) as connection:
                page = Page(connection)
                await page.call("Page.enable")
                await page.resize(WIDTH, HEIGHT)
                yield page
            drain.cancel()
        finally:
            process.terminate()
            await process.wait()
