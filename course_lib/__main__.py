"""`python -m course_lib` is `course`."""

from course_lib.cli import main

raise SystemExit(main())
