"""pyxl: save, restore and create virtual machines on Xen."""

__version__ = "0.7.0"
