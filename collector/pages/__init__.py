"""The review pages for people: rendered on the server, as HTML, JSON and Markdown (docs/review.md)."""
