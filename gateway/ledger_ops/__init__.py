"""The ledger kept believable: tiles, witnesses, time stamps, deadlines of evidence, a watched clock.

Knows: what is published and what is late.
Must not know: entries' content.
Start reading at: `tile_publisher.py`.
"""
