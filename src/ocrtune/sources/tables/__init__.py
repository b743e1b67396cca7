"""Tables and chats of other people → pages.

`rows` has the nouns, `csv_rows` and `json_rows` read one file each, `columns` finds which column is what, `pages` and
`chats` make pages of rows, `options` reads a uri, `reading` puts them together.
"""
