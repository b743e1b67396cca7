"""Data sets of a hub, or in a folder as the `datasets` library writes them → pages.

`options` reads a uri, `opening` opens what it names, `columns` finds which column is what, `pages` makes a page of a row
when it is asked for, `streaming` keeps the first rows of what is not on disk, `reading` puts them together. Nothing here
runs code that comes with data.
"""
