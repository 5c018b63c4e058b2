"""The names that occur in the shop's log."""

from collections.abc import Mapping

CATEGORIES_OF = {
    "fashion": ("dresses", "sneakers", "jackets", "handbags", "watches"),
    "home": ("sofas", "lamps", "bedding", "cookware", "rugs"),
    "electronics": ("phones", "headphones", "laptops", "cameras", "consoles"),
    "groceries": ("coffee", "snacks", "cleaning", "pet_food", "drinks"),
}
FAMILIES = tuple(CATEGORIES_OF)
CATEGORIES = tuple(category for members in CATEGORIES_OF.values() for category in members)
BRANDS = ("alba", "brio", "corvo", "duna", "elara", "fjell", "gusto", "halden", "iriso", "juno")
STYLES = ("classic", "playful", "minimal", "luxury")
TAGS = ("new", "bestseller", "handmade", "organic", "limited", "bundle", "waterproof", "gift")
REACTIONS = ("skip", "glance", "save", "cart")
AGE_BANDS = ("18-29", "30-44", "45-59", "60+")
REGIONS = ("north", "east", "south", "west", "centre")
MEMBERSHIPS = ("none", "silver", "gold")
DEVICES = ("phone", "tablet", "desktop")
SURFACES = ("home_page", "email", "search_page", "product_page")

# Columns of strings: a code is a position in the tuple, and the code -1 is the missing value "".
STRING_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "age_band": AGE_BANDS,
    "region": REGIONS,
    "membership": MEMBERSHIPS,
    "device": DEVICES,
    "surface": SURFACES,
    "category": CATEGORIES,
    "brand": BRANDS,
    "style": STYLES,
    "tags": TAGS,
    "viewed_category": CATEGORIES,
    "viewed_reaction": REACTIONS,
    "searched_category": CATEGORIES,
}
