"""The management server: HTTP, sign-in, dispatch and jobs."""
