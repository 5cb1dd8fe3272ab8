"""Programs that people use read the address: those of Debian, over real sockets."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
import json
from pathlib import Path
import re
import shutil
import sys
from tempfile import TemporaryDirectory

import av
import pytest

from custom_components.magicpi_nvr.live import LiveServer, Sources
from home_assistant import free_port
from tests.harness.live import CameraFeed, make_encoder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CAMERA = "AA:BB:CC:DD:EE:01"
PAGE = Path(__file__).parents[2] / "docs" / "live.md"


def rtsp_server(address: str, port: int) -> str:
    """Return the program that the documents show, on a port of this machine alone."""
    program = re.search(r"```\n(import gi\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert program
    made = "server = GstRtspServer.RTSPServer()\n"
    loop = "GLib.MainLoop().run()"
    assert made in program[1]
    return (
        program[1]
        .replace("ADDRESS", address)
        .replace(
            made,
            f"{made}server.set_address('127.0.0.1')\nserver.set_service('{port}')\n",
        )
        .replace(loop, f"print('ready', flush=True)\n{loop}")
    )


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {missing}")


@pytest.fixture
async def address() -> AsyncGenerator[str]:
    """Return the address of a camera that shows ten pictures a second."""
    feed = CameraFeed()
    sources = Sources(
        frames=lambda _: feed.frames(),
        make_encoder=make_encoder,
        free_encoders=lambda: 2,
    )
    server = LiveServer(sources.get)
    await server.start()
    play = asyncio.create_task(feed.play())
    url = server.url(CAMERA)
    assert url
    yield url
    await sources.stop()
    await server.stop()
    play.cancel()


async def run(*command: str, timeout: float = 60) -> tuple[int | None, str]:
    """Run a program for so long at most; return what it answers."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            out, error = await process.communicate()
    except TimeoutError:
        process.terminate()
        out, error = await process.communicate()
    return process.returncode, (out + error).decode(errors="replace")


def count(path: Path) -> int:
    """Return how many pictures a file has (blocking)."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@needs("ffmpeg")
async def test_ffmpeg(address: str, tmp_path: Path) -> None:
    """Ffmpeg copies the video into a file."""
    path = tmp_path / "out.mp4"
    code, said = await run(
        *("ffmpeg", "-v", "error", "-fpsprobesize", "0"),
        *("-i", address, "-t", "3", "-c", "copy", str(path)),
    )
    assert code == 0, said
    assert await asyncio.to_thread(count, path) > 10


@needs("ffprobe")
async def test_ffprobe(address: str) -> None:
    """Ffprobe knows what it is, and complains of nothing."""
    code, said = await run("ffprobe", "-v", "warning", "-show_streams", "-of", "json", address)  # fmt: skip
    assert code == 0, said
    stream = json.loads(said)["streams"][0]
    assert (stream["codec_name"], stream["width"]) == ("h264", 320)


@needs("gst-launch-1.0")
async def test_gstreamer(address: str, tmp_path: Path) -> None:
    """GStreamer decodes."""
    code, said = await run(
        *("gst-launch-1.0", "-q", "souphttpsrc", f"location={address}"),
        *("is-live=true", "num-buffers=40", "!", "tsdemux", "!", "h264parse", "!"),
        *("avdec_h264", "!", "videoconvert", "!", "jpegenc", "!"),
        *("multifilesink", f"location={tmp_path}/%05d.jpg"),
    )
    assert code == 0, said
    assert len(list(tmp_path.glob("*.jpg"))) > 5


@needs("cvlc")
async def test_vlc(address: str, request: pytest.FixtureRequest) -> None:
    """VLC writes what it reads into a file."""
    # It does not run as root, and pytest's folders are for their user alone
    folder = TemporaryDirectory()
    request.addfinalizer(folder.cleanup)
    path = Path(folder.name) / "vlc.mp4"
    command = [
        *("cvlc", "-I", "dummy", "--network-caching=300", "--run-time=6"),
        *("--sout", f"#std{{access=file,mux=mp4,dst={path}}}"),
        *(address, "vlc://quit"),
    ]
    if shutil.which("setpriv"):
        Path(folder.name).chmod(0o777)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={folder.name}", *command]  # fmt: skip
    _, said = await run(*command, timeout=40)
    assert path.exists(), said
    assert await asyncio.to_thread(count, path) > 10


@needs("motion")
async def test_motion(address: str, tmp_path: Path) -> None:
    """Motion records from the address."""
    configuration = tmp_path / "motion.conf"
    configuration.write_text(
        f"""netcam_url {address}
netcam_keepalive on
target_dir {tmp_path}
emulate_motion on
movie_output on
movie_codec mkv
movie_max_time 3
picture_output off
width 320
height 240
framerate 10
webcontrol_port 0
stream_port 0
"""
    )
    process = await asyncio.create_subprocess_exec(
        "motion", "-n", "-c", str(configuration), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            # With the second one the first is whole
            while len(movies := sorted(tmp_path.glob("*.mkv"))) < 2:
                await asyncio.sleep(0.2)
    finally:
        process.terminate()
        await process.wait()
    assert await asyncio.to_thread(count, movies[0]) > 5


@needs("ffprobe", "python3")
async def test_rtsp(address: str) -> None:
    """GStreamer's RTSP server sends it on; ffprobe reads it over RTSP."""
    probe, _ = await run(
        *("/usr/bin/python3", "-c"),
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer",
    )
    if probe:
        pytest.skip("there is no GstRtspServer")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/python3", "-c", rtsp_server(address, port)),
        stdout=PIPE,
        stderr=sys.stderr,
    )
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        code, said = await run(
            *("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams"),
            *("-show_packets", "-read_intervals", "%+#15", "-of", "json"),
            f"rtsp://127.0.0.1:{port}/front_door",
        )
        assert code == 0, said
        found = json.loads(said[said.index("{") :])
        assert found["streams"][0]["codec_name"] == "h264"
        assert len(found["packets"]) == 15
    finally:
        process.terminate()
        await process.wait()
