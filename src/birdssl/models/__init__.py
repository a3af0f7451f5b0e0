"""Encoders, projectors and heads: built by name, never touching files."""
