"""The phases of a save, a restore and a create, and what each owes from the moment that it is entered.

One table serves both: the operation itself when it fails, and `pyxl recover` when its process died.
"""

from enum import Enum, Flag, auto


class Owed(Flag):
    """What has to be undone, in this order: the guest first, since everything else may hang."""

    NOTHING = 0
    GUEST = auto()  # the guest may be suspended, or paused: withdraw the request, let device model and vcpus go on
    HELPER = auto()  # a save-helper may be running: end it
    LOG_DIRTY = auto()  # of a live save: Xen and the device model may log writes; have them stop
    DOMAIN = auto()  # a domain that never ran is being built: destroy it
    ROOM = auto()  # dom0 has given memory to a domain that is not built: give it back
    COPIES = auto()  # copies of the guest's disks may have been made for its file: remove them
    FILE = auto()  # a new file may be beside its target: remove it
    END = auto()  # nothing is undone: what was ordered for the domain is done
    ASIDE = auto()  # disks have stepped aside for those of the checkpoint: put them back, or remove them at the end


class Phase(Enum):
    """What an operation is doing, in the words of its messages, and what it owes."""

    # save
    PREFLIGHT = ("preflight", Owed.HELPER)
    OPEN_FILE = ("open file", Owed.FILE | Owed.HELPER)
    CONFIG = ("config", Owed.FILE | Owed.HELPER)
    PRECOPY = ("precopy", Owed.FILE | Owed.HELPER | Owed.LOG_DIRTY | Owed.GUEST)
    SUSPEND = ("suspend", Owed.FILE | Owed.HELPER | Owed.LOG_DIRTY | Owed.GUEST)
    DEVICE_MODEL = ("device model", Owed.FILE | Owed.HELPER | Owed.LOG_DIRTY | Owed.GUEST)
    MEMORY = ("memory", Owed.FILE | Owed.HELPER | Owed.LOG_DIRTY | Owed.GUEST)
    DEVICE_MODEL_STATE = ("device model state", Owed.FILE | Owed.GUEST)
    DISKS = ("disks", Owed.FILE | Owed.COPIES | Owed.GUEST)
    COMMIT = ("commit", Owed.FILE | Owed.COPIES | Owed.GUEST)
    SETTLE = ("settle", Owed.END)
    # dump-core, which has OPEN_FILE and COMMIT of a save
    DUMP = ("dump", Owed.FILE | Owed.GUEST)
    # convert, which has OPEN, CHECK_FILE, OPEN_FILE and COMMIT of the others
    CONVERT = ("convert", Owed.FILE)
    # restore and create
    OPEN = ("open file", Owed.NOTHING)
    CHECK_FILE = ("check file", Owed.NOTHING)
    DISKS_BACK = ("disks", Owed.ASIDE)
    ROOM = ("make room", Owed.ASIDE | Owed.ROOM)
    BUILD = ("build", Owed.DOMAIN | Owed.ASIDE | Owed.ROOM)
    CHECKSUMS = ("checksums", Owed.DOMAIN | Owed.ASIDE | Owed.ROOM)
    MONITOR = ("monitor", Owed.DOMAIN | Owed.ASIDE | Owed.ROOM)
    UNPAUSE = ("unpause", Owed.END | Owed.ASIDE)

    def __init__(self, text: str, owes: Owed) -> None:
        self.text = text
        self.owes = owes


class After(Enum):
    """What happens to the domain at the end of an operation; the value is shown to the user."""

    DESTROY = "destroyed"
    RESUME = "running on"
    PAUSE = "paused"
