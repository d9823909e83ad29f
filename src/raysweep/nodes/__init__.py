"""Every node of a cluster, looked at before a trial runs there: versions, GPUs, room, and what it can reach."""
