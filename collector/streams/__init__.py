"""Streams of SDKs that people already have: each adapter turns one vendor's requests into events of the contract."""
