"""The Signer's own words: credentials, scopes, locations, bindings and what is asked of them.

Plain Python only. Nothing in here knows gRPC, SQL, a cloud SDK or generated code; import-linter
holds that.
"""
