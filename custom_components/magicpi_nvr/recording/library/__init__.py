"""The library: what was recorded, found, watched, annotated and removed."""

from .library import Library

__all__ = ["Library"]
