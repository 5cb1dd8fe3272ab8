"""One H.264 source per camera for all who watch. Imports nothing of Home Assistant; the names below are its public face."""

from .encoding import ConfigPacket, LiveEncoder, MakeEncoder, SamplePacket
from .keys import StreamKeys, TooManyAttempts
from .server import CONTENT_TYPE, LiveServer, send
from .source import LiveFrame, LiveSource, Sources
from .viewer import Viewer

__all__ = [
    "CONTENT_TYPE",
    "ConfigPacket",
    "LiveEncoder",
    "LiveFrame",
    "LiveServer",
    "LiveSource",
    "MakeEncoder",
    "SamplePacket",
    "Sources",
    "StreamKeys",
    "TooManyAttempts",
    "Viewer",
    "send",
]
