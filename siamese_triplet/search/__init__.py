"""Search among images of your own: an index of a folder that is kept in one file.

`Index`: embeddings of images with their paths and classes, and the network that made them.
`files` lists a folder and finds what has changed, `embedder` reads and embeds images, `storage` packs an index into
bytes, `answers` holds what a search finds, and `page` shows it with pictures.
"""

from siamese_triplet.search.answers import Answer, Match
from siamese_triplet.search.files import Changes
from siamese_triplet.search.index import Index
from siamese_triplet.search.page import write_page

__all__ = ["Answer", "Changes", "Index", "Match", "write_page"]
