"""The Catalog's own words: mounts, images and jobs.

Plain Python only; import-linter holds that.
"""
