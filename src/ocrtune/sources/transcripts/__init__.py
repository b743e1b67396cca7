"""People's transcriptions in PAGE XML, ALTO and hOCR → pages, or parts of them.

`layout` has the nouns, `xml` parses safely, `page_xml`, `alto` and `hocr` read one file each, `fitting` brings
coordinates to the pixels of the image, `image_files` finds it, and `frames` its frame, `pages` cuts, `reading` goes through files.
"""
