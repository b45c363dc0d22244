"""The Signer over gRPC: map in, call the use case, map out."""
