"""Files that hold samples of several fingers or modalities, as capture stations, card issuers and case systems write them.

Knows: ANSI/NIST-ITL transactions: their records, their pictures as stated, and what in them is text about a person;
CBEFF records in XML, objects of PIV cards and pictures, likewise.
Must not know: pixels, minutiae, the wire. Standard library alone, so that the partner's client can look before it sends.
Start reading at: `ansi_nist.py`, `cbeff_xml.py`.
"""
