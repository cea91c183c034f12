"""Faults: what goes wrong in a save, a restore or a create, done for real on the lab, to pyxl and to stock xl.

table.py is what happens and when; in_dom0.py makes it happen; runner.py judges what is left.
"""
