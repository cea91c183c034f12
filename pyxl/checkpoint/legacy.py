"""What a restore and a conversion of a legacy checkpoint find out, before anything is built or written."""

from pyxl.checkpoint.converted import look_over
from pyxl.checkpoint.source import Source
from pyxl.formats.legacy.convert import traditional
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream.xl_header import XlHeader


def admit(source: Source, header: XlHeader, skip_device_state: bool) -> XlHeader:
    """Return a legacy checkpoint's header with the config that goes with the new stream.

    Of a file the whole framing is right by then; of a pipe nothing is known but its header.

    :raise StreamError: the file is bad, or its device state is qemu-traditional's and not skipped.
    """
    old = OldConfig(header)
    if old.is_traditional and not skip_device_state:
        raise traditional(header.size)
    if source.seekable:
        look_over(source.fd, header.size, skip_device_state)
    return header._replace(config=old.for_upstream()) if skip_device_state else header
