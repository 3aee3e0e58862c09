"""One call: how it is signed and sent, what counts as its answer, what is asked again, jobs that are waited for."""
