"""What `sealmount demo` shows: a mount that outlives its keys and its store. See story.py."""
