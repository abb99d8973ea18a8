"""Images to records: pixels decoded in a child process that can do nothing else.

Knows: the process that decoders run in, the port to extractors. Its extractors, which run there alone, meet `matcher` to
write records. What an image's container says is read before, in `gateway/sample_files/containers`.
Must not know: SQL, keys, the law, the wire; and no decoder of pixels may enter the gateway's own process.
Start reading at: `service.py`, then `child.py`.
"""
