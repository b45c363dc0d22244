"""Durable jobs: what the server asks for and a worker does, through kill -9 and takeover.

DBOS (durable execution on the database itself) stays behind this folder: the server sees the port
``JobQueue``, operators see the operations in the Catalog's own tables.
"""
