"""The checks of a legacy checkpoint before a restore builds anything or a conversion writes anything."""

from pyxl.checkpoint.converted import look_over
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.formats.legacy.convert import traditional
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream.xl_header import XlHeader


def admit(source: Source, header: XlHeader, skip_device_state: bool) -> XlHeader:
    """Check a legacy checkpoint and return its header, with the config that goes with the new stream.

    Checks the whole framing of a file, but only the header of a pipe.

    :raise StreamError: the file is bad, or its device state is qemu-traditional's and not skipped.
    """
    if source.compressed:
        hint = "`zstd -dc FILE | pyxl restore -` or `… | pyxl convert - NEW` takes it."
        raise PyxlError("a legacy checkpoint that is compressed cannot be read as it is", hint)
    old = OldConfig(header)
    if old.is_traditional and not skip_device_state:
        raise traditional(header.size)
    if source.seekable:
        look_over(source.fd, header.size, skip_device_state)
    return header._replace(config=old.for_upstream()) if skip_device_state else header
