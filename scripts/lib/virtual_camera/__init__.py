"""A camera by the protocol, in Python: for demos, tests and load.

It is the other side of the contract, so it shares no code with the integration.
"""

from .boot import Counters, SentFrame
from .camera import VirtualCamera
from .life import LifeEvent, State
from .options import Options
from .pictures import RESOLUTIONS, draw_number, make_picture, read_frame_number
from .sources import (
    FaultySource,
    FrameSource,
    GeneratedSource,
    LoopSource,
    Shot,
    SourceError,
    VideoSource,
    open_source,
)

__all__ = [
    "RESOLUTIONS",
    "Counters",
    "FaultySource",
    "FrameSource",
    "GeneratedSource",
    "LifeEvent",
    "LoopSource",
    "Options",
    "SentFrame",
    "Shot",
    "SourceError",
    "State",
    "VideoSource",
    "VirtualCamera",
    "draw_number",
    "make_picture",
    "open_source",
    "read_frame_number",
]
