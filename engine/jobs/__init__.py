"""The job store: what was asked for, what runs, what ran; and the worker that runs it."""
