"""The audit log: one chain of authenticated records per writing process."""
