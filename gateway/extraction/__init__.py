"""Images to records: containers read by their headers here, pixels decoded in a child process that can do nothing else.

Knows: the containers of images, the process that decoders run in, the port to extractors. Its extractors, which run
there alone, meet `matcher` to write records.
Must not know: SQL, keys, the law, the wire; and no decoder of pixels may enter the gateway's own process.
Start reading at: `containers/image.py`, then `service.py`.
"""
