"""The features of TaobaoAd_x1, declared."""

from __future__ import annotations

from collections.abc import Iterable

from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

MAX_LENGTH = 50
MIN_COUNT = 10
USER = (
    *("userid", "cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level"),
    *("occupation", "new_user_class_level"),
)
AD = ("adgroup_id", "cate_id", "campaign_id", "customer", "brand")
CONTEXT = ("pid", "btag")
# Field of an event -> the feature whose table it shares, and its column in the files.
EVENT = {"cate": ("cate_id", "cate_his"), "brand": ("brand", "brand_his"), "btag": ("btag", "btag_his")}


def schema(labels: Iterable[str] | None = None) -> FeatureSchema:
    """Returns the schema of the examples that `TaobaoAd` writes.

    Args:
        labels: iterable of str or None. There is one, `"clk"`. Defaults to `None`.

    Raises:
        SchemaError: If there is no such label.
    """
    fields = tuple(Categorical(name=name, dtype="int64", table=table) for name, (table, _) in EVENT.items())
    made = FeatureSchema(
        name="taobao_ad",
        features=(
            Numeric(name="price"),
            *(Categorical(name=name, dtype="int64", min_count=MIN_COUNT) for name in (*USER, *AD, *CONTEXT)),
        ),
        sequences=(Sequence(name="behaviour", fields=fields, max_length=MAX_LENGTH),),
        labels=(Label(name="clk"),),
        group="userid",
        candidate=(*AD, "price"),
    )
    return made if labels is None else made.with_labels(*labels)
