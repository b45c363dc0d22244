"""The Signer's database of record: authenticated rows, one generation, one digest of the whole."""
