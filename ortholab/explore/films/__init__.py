"""The films of the book, one a file; each defines FILM. They train, so they need torch, and no page computes them."""
