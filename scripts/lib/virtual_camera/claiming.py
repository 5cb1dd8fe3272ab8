"""How a camera gets from setup mode to a key of its own."""

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from .api import ApiError, GatewayApi
from .setup_mode import Advertisement, SetupServer
from .store import canonical_code

if TYPE_CHECKING:
    from .camera import VirtualCamera

BACKOFF_MAX_S = 30.0
CLAIM_GOOD_FOR_S = 600.0


async def be_claimed(camera: VirtualCamera) -> None:
    """Open setup mode until a gateway has registered this camera."""
    o = camera.options
    claims: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
    info = {
        "id": camera.id,
        "model": o.model,
        "fw": camera.flash.fw,
        "caps": camera.caps,
    }
    server = SetupServer(
        info,
        canonical_code(camera.setup_code),
        claims.put_nowait,
        lockout_s=o.lockout_s,
    )
    server.on_wrong_code = camera.count_wrong_code
    await server.start(o.http_bind, o.http_port)
    camera.setup_server = server
    advertisement = None
    if o.zeroconf:
        addresses = o.advertise_addresses or (o.http_bind,)
        advertisement = Advertisement(o.zeroconf, info, addresses, server.port)
    try:
        if advertisement:
            await advertisement.publish()
        camera.update_state()
        camera.emit(
            "setup_opened", host=o.http_bind, port=server.port, code=camera.setup_code
        )
        while True:
            bundle = await claims.get()
            camera.emit("claimed", name=bundle.get("name", ""))
            if await _register(camera, bundle):
                return
            server.reopen()
    finally:
        # Only now: Home Assistant withdraws the discovery with the record.
        camera.setup_server = None
        await server.stop()
        if advertisement:
            await advertisement.withdraw()


async def _register(camera: VirtualCamera, bundle: dict[str, Any]) -> bool:
    """Get a key for a token; return False when this claim leads nowhere."""
    camera.flash.bundle = bundle
    camera.flash.last_host = camera.flash.last_port = None
    body = {
        "id": camera.id,
        "model": camera.options.model,
        "fw": camera.flash.fw,
        "token": bundle["token"],
        "caps": camera.caps,
    }
    until = time.monotonic() + CLAIM_GOOD_FOR_S
    attempt = 0
    while time.monotonic() < until:
        retry_after = 0.0
        for host, port in camera.known_hosts():
            api = GatewayApi(
                host, port, context=camera.context(), name=bundle["gateway"]["name"]
            )
            try:
                answer = await api.json("POST", "/register", body=body)
            except ApiError as err:
                camera.emit("register_failed", status=err.status, error=err.slug)
                if err.status in (400, 401, 409, 413):
                    camera.flash.forget()
                    return False
                retry_after = err.retry_after
            except (OSError, aiohttp.ClientError) as err:
                camera.emit("register_failed", status=0, error=type(err).__name__)
            else:
                camera.flash.update(
                    {
                        "api_key": answer["api_key"],
                        "last_host": host,
                        "last_port": port,
                    }
                )
                camera.apply_config(answer.get("config") or {})
                camera.emit("registered", host=host, port=port)
                return True
        attempt += 1
        backoff = random.uniform(0.2, min(BACKOFF_MAX_S, 2.0**attempt))
        await asyncio.sleep(max(retry_after, backoff / camera.options.time_factor))
    camera.flash.forget()
    return False
