"""The report for those who look rather than read: figures, small cells, charts, words in two languages, one page."""
