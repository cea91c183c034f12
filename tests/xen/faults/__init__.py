"""Real faults in a save, a restore or a create, on the lab, by pyxl and by stock xl.

table.py lists what happens and when; dom0/ makes it happen; runner.py judges the result.
"""
