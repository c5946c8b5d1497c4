"""Thin shells: take a contract, call one of media, storage, db or providers, heartbeat, return a contract."""
