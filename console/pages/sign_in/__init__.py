"""Signing in and out. Read `routes`, then `texts`."""
