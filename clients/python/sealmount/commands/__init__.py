"""The subcommands of `sealmount`; see sealmount.cli."""
