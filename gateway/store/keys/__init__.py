"""What the database holds of keys: rotations, custody, blocked keys, re-encryption.

Knows: public facts and wrapped data keys.
Must not know: a private key.
Start reading at: `rotations.py`.
"""
