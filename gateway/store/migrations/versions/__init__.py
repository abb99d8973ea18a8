"""One module per step; each says what it changes and never imports the tables of today."""
