"""zstd frames, made and opened by libzstd, which every Debian has: its packages are compressed with it.

Imports next to nothing: the save-helper, which sees no package of Python's, starts through here.  Calls leave
the interpreter to other threads.  An object here is one thread's.
"""

import ctypes

from pyxl.checkpoint.buffers import buffer
from pyxl.errors import PyxlError

#: Memory to read or write: an object that has it, or its address and length.  What is written to is no bytes.
Memory = bytes | bytearray | memoryview | tuple[int, int]

MIN_LEVEL, MAX_LEVEL = -7, 19
_CONTINUE, _END = 0, 2  # ZSTD_EndDirective
_RESET_SESSION = 1
_LEVEL, _CHECKSUM = 100, 201  # ZSTD_cParameter


class ZstdError(PyxlError):
    """Data that is no zstd frame, or not the one that was made; the message is libzstd's."""


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise PyxlError("libzstd.so.1 is not installed", "apt install libzstd1") from error
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    buffer = ctypes.POINTER(_Buffer)
    for name, result, arguments in (
        ("createCCtx", pointer, []), ("freeCCtx", size, [pointer]), ("compressBound", size, [size]),
        ("CCtx_setParameter", size, [pointer, integer, integer]), ("CCtx_reset", size, [pointer, integer]),
        ("CCtx_setPledgedSrcSize", size, [pointer, ctypes.c_ulonglong]),
        ("compress2", size, [pointer, pointer, size, pointer, size]),
        ("compressStream2", size, [pointer, buffer, buffer, integer]),
        ("createDCtx", pointer, []), ("freeDCtx", size, [pointer]),
        ("decompressDCtx", size, [pointer, pointer, size, pointer, size]),
        ("decompressStream", size, [pointer, buffer, buffer]),
        ("isError", ctypes.c_uint, [size]), ("getErrorName", ctypes.c_char_p, [size]),
    ):  # fmt: skip
        function = getattr(library, f"ZSTD_{name}")
        function.restype, function.argtypes = result, arguments
    return library


_library: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """Return libzstd.

    :raise PyxlError: it is not installed.
    """
    global _library
    if _library is None:
        _library = _load()
    return _library


class Compressor:
    """Makes frames of at most ``most`` bytes each, with their size and checksum; ``level`` holds from the next on."""

    def __init__(self, level: int, most: int) -> None:
        self.level = level
        self._library = library()
        self._room = self._library.ZSTD_compressBound(most)
        self._frame = buffer(self._room)
        self._out = _Buffer(_place(self._frame)[0], self._room, 0)
        self._context = _made(self._library.ZSTD_createCCtx())
        self._set_level = 0
        self._call(self._library.ZSTD_CCtx_setParameter, _CHECKSUM, 1)

    def frame(self, *content: Memory) -> memoryview:
        """Return one frame of all of ``content``; it is good until the next call."""
        if self.level != self._set_level:
            self._call(self._library.ZSTD_CCtx_setParameter, _LEVEL, self.level)
            self._set_level = self.level
        places = [_place(each) for each in content]
        if len(places) == 1:  # without a copy into libzstd's window
            size = self._call(self._library.ZSTD_compress2, self._out.at, self._room, *places[0])
            return self._frame[:size]
        self._call(self._library.ZSTD_CCtx_reset, _RESET_SESSION)
        self._call(self._library.ZSTD_CCtx_setPledgedSrcSize, sum(size for _, size in places))
        self._out.pos = 0
        for at, size in places:
            self._stream(_Buffer(at, size, 0), _CONTINUE)
        self._stream(_Buffer(None, 0, 0), _END)
        return self._frame[: self._out.pos]

    def __del__(self) -> None:
        if context := getattr(self, "_context", None):
            self._library.ZSTD_freeCCtx(context)

    def _stream(self, source: _Buffer, directive: int) -> None:
        stream = self._library.ZSTD_compressStream2
        while True:
            left = self._call(stream, ctypes.byref(self._out), ctypes.byref(source), directive)
            if source.pos == source.size and not (left and directive == _END):
                return
            if self._out.pos == self._out.size:
                raise ZstdError("more content than the frame may have")

    def _call(self, function: "ctypes._FuncPointer", *arguments: object) -> int:
        return _checked(self._library, function(self._context, *arguments))


class Decompressor:
    """Opens frames that have all come."""

    def __init__(self) -> None:
        self._library = library()
        self._context = _made(self._library.ZSTD_createDCtx())

    def frame(self, data: Memory, into: Memory) -> int:
        """Decompress one frame, whose checksum is compared, and return how many bytes it held.

        :raise ZstdError: it is damaged, or holds more than fits ``into``.
        """
        (source, size), (target, room) = _place(data), _place(into)
        # The bit of the descriptor behind the magic that says that there is a checksum.
        if source is None or size < 5 or not ctypes.string_at(source + 4, 1)[0] & 4:
            raise ZstdError("no frame with a checksum")
        return _checked(self._library, self._library.ZSTD_decompressDCtx(self._context, target, room, source, size))

    def __del__(self) -> None:
        if context := getattr(self, "_context", None):
            self._library.ZSTD_freeDCtx(context)


class Inflation:
    """Decompresses frames whose bytes come one after the other.

    ``is_within`` says that the frame has not ended, ``has_more`` that there is more content without more data.
    """

    def __init__(self) -> None:
        self._library = library()
        self._context = _made(self._library.ZSTD_createDCtx())
        self._content = buffer(1 << 20)
        self._out = _Buffer(_place(self._content)[0], len(self._content), 0)
        self._in = _Buffer(None, 0, 0)
        self._data = memoryview(b"")
        self.is_within = False
        self.has_more = False

    @property
    def rest(self) -> memoryview:
        """What is not used up of the data that were added last."""
        return self._data[self._in.pos :]

    def add(self, data: bytes) -> None:
        """Take the next bytes; what was left of those before is to be the first of them."""
        self._data = memoryview(data)
        self._in = _Buffer(_place(data)[0], len(data), 0)

    def content(self) -> memoryview:
        """Return some of the content, none of the next frame; good until the next call.

        :raise ZstdError: the data are damaged, or no zstd frame.
        """
        self._out.pos = 0
        stream = self._library.ZSTD_decompressStream
        left = _checked(self._library, stream(self._context, ctypes.byref(self._out), ctypes.byref(self._in)))
        self.is_within = left != 0
        self.has_more = self.is_within and self._out.pos == self._out.size
        return self._content[: self._out.pos]

    def __del__(self) -> None:
        if context := getattr(self, "_context", None):
            self._library.ZSTD_freeDCtx(context)


def _place(memory: Memory) -> tuple[int | None, int]:
    """Return address and length of memory that stays where it is for as long as its object is held."""
    if isinstance(memory, tuple):
        return memory
    if isinstance(memory, bytes):
        return ctypes.cast(ctypes.c_char_p(memory), ctypes.c_void_p).value, len(memory)
    if not memory:
        return None, 0
    return ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory)


def _made(context: int | None) -> int:
    if not context:
        raise MemoryError
    return context


def _checked(library: ctypes.CDLL, result: int) -> int:
    if library.ZSTD_isError(result):
        raise ZstdError(str(library.ZSTD_getErrorName(result).decode()))
    return result
