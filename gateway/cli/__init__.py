"""Our own commands, from wrong usage to exit code."""

import os

# gRPC reads both once, when it is first imported. Here the process is ours: what a command asks of, our own admin
# listener among them, is asked by TLS 1.3 alone (`gateway.server`), and what goes wrong is said by us, once.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
