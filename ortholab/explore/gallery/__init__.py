"""The explorables of the book, one a file; each defines EXPLORABLE."""
