"""Proposing candidates, running them as trials, stopping the bad ones early."""
