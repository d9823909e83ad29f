"""A sweep as a job of a Ray cluster: what is sent there, what it says while it runs, and what came of it."""
