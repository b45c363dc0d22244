"""Envelope encryption: data keys, key-encryption keys and the keys that authenticate rows."""
