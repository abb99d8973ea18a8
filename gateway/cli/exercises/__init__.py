"""Commands that show and measure: demo, bench, drill, eval.

Knows: options and tables.
Must not know: a real gateway's home directory.
Start reading at: `demo.py`.
"""
