"""The parts of the tests' own S3 server; ``tests.fakes.s3server`` puts them together."""
