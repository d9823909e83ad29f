"""Being on Ray: the session and its failures."""
