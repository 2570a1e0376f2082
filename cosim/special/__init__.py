"""Tests that only some designs have."""
