"""pyxl: save, restore and create virtual machines on Xen."""

__version__ = "0.8.0"
