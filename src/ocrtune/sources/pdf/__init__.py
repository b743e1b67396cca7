"""PDFs with a text layer → pages, or lines of them.

`document` reads signs and renders, `lines` puts signs together, `columns` finds the reading order, `targets` writes
texts, `pictures` renders what a record names, `reading` goes through files.
"""
