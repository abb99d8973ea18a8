"""When a wait gives up: on a machine that hangs, never on one that is slow. No test promises anything about these."""

PATIENCE = 600.0  # seconds for a process, a thread or a browser; the longest, the demo, took 151 on two busy cores
CALL = 50.0  # seconds, the deadline of a call that ends by itself long before; a gateway takes 60 (protocol 12)
