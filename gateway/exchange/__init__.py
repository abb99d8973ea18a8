"""What passes between governments: one corridor of numbered steps, and the operations that walk it."""
