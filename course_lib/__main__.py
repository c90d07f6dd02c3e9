"""`python -m course_lib` is `course`."""

from course_lib.cli.main import main

raise SystemExit(main())
