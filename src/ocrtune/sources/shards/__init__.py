"""Shards, tar files of WebDataset or Parquet tables with images in them → pages, read when they are asked for.

`options` reads a uri, `files` finds the shards it names, `tar_members` and `tar_pages` read tar files, `cells` and
`parquet_pages` tables, `notes` gathers what was odd, `pages` is what both give, `reading` puts them together.
"""
