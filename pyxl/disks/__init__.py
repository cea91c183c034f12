"""Copies of disks that share what neither has written: how each kind of disk makes them."""
