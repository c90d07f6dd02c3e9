"""course_lib: the package behind the book, from text to a speaking model."""

__version__ = "0.1.0"
