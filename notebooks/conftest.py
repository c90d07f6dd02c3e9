"""Chapters run at the smallest scale under pytest, unless told otherwise."""

import os

os.environ.setdefault("COURSE_SCALE", "smoke")
