"""Bytes in and out: a folder or an S3-compatible server behind one protocol."""
