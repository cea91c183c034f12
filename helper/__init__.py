"""pyxl-save-helper: the process that streams a guest's memory for pyxl, or for stock xl."""
