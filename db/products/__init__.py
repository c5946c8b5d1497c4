"""What a kind of job writes to tables of its own, beside its row in `results`. A kind without such tables is not here.

Each function runs inside the transaction that opens or ends the job, so rows and money cannot disagree.
"""

from __future__ import annotations

from db.products.base import Product
from db.products.clip import CLIP
from db.products.music import MUSIC

PRODUCTS: dict[str, Product] = {"music": MUSIC, "clip": CLIP}
NOTHING_MORE = Product()


def product_of(kind: str) -> Product:
    return PRODUCTS.get(kind, NOTHING_MORE)
