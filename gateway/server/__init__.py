"""The process: composition, start and stop, status.

Knows: how the parts are put together and how long a call may last.
Must not know: what a record says.
Start reading at: `application.py`, then `lifecycle.py`.
"""

import os

# gRPC reads its cipher list once, when it is first imported. This suite exists in TLS 1.2 for RSA
# certificates only, and our leaves are ECDSA: what remains is TLS 1.3 (keys.md section 9). There is no
# option for it in Python (grpc 43074, 43080), so a test probes both versions.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"

# OpenBLAS reads this once too. Our matrices are small and our calls run side by side: threads inside one
# product wait for each other, and on two busy cores a probe took ten times as long to prepare.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# gRPC's core writes failed handshakes of unidentified callers to stderr, beside our log and in its own form.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
