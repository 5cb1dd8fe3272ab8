"""The size of the pictures as the decoder's configuration has it: what is encoded may be rotated against the JPEG."""

from .boxes import BoxError, VideoConfig, parameter_sets

_LENGTH_SIZE = 4  # bytes before each NAL unit
# Profiles whose parameter sets say how chroma is sampled (H.264, 7.3.2.1.1).
_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_MACROBLOCK = 16  # pixels


class _Bits:
    """Reads fixed and Exp-Golomb numbers; raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def one(self) -> int:
        byte = self._data[self._at >> 3]
        bit = byte >> (7 - (self._at & 7)) & 1
        self._at += 1
        return bit

    def fixed(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.one()
        return value

    def unsigned(self) -> int:
        zeros = 0
        while not self.one():
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.fixed(zeros)

    def signed(self) -> int:
        value = self.unsigned()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def with_coded_size(config: VideoConfig) -> VideoConfig:
    """Return the configuration with the size that its sequence parameter set names; as it is when that cannot be read."""
    try:
        unit = parameter_sets(config)[0][_LENGTH_SIZE:]
        width, height = _size(unit)
    except BoxError, IndexError:
        return config
    return VideoConfig(config.avcc, width, height)


def _size(unit: bytes) -> tuple[int, int]:
    """Return width and height of a sequence parameter set (H.264, 7.3.2.1.1); raises IndexError."""
    # Emulation prevention: a 3 behind two zeros is not part of it.
    bits = _Bits(unit[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.fixed(8)
    bits.fixed(16)  # constraints, level
    bits.unsigned()  # its id
    chroma = 1
    if profile in _WITH_CHROMA:
        chroma = bits.unsigned()
        if chroma == 3:
            bits.one()
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.one()
        if bits.one():
            for index in range(12 if chroma == 3 else 8):
                if bits.one():
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.unsigned()  # log2 of the highest frame number
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.one()
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # reference frames
    bits.one()
    width = (bits.unsigned() + 1) * _MACROBLOCK
    map_units = bits.unsigned() + 1
    frames_only = bits.one()
    height = (2 - frames_only) * map_units * _MACROBLOCK
    if not frames_only:
        bits.one()
    bits.one()
    if bits.one():
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= (bits.unsigned() + bits.unsigned()) * unit_x
        height -= (bits.unsigned() + bits.unsigned()) * unit_y
    if width <= 0 or height <= 0:
        raise IndexError
    return width, height


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
