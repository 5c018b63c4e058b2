"""Predict movie ratings with TensorFlow Recommenders: user id and movie title -> rating.

Prints the test RMSE and exports a SavedModel.

    TF_USE_LEGACY_KERAS=1 python docs/examples/tfrs_ranking_after.py EXPORT_FOLDER [SEED] [EPOCHS]
"""

import os
import sys

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from pipelines.datasets.movielens_100k import load_ratings
from tf_interformer.tfrs import FeatureInteraction

FEATURES = ("user_id", "movie_title")


class MovieModel(tfrs.models.Model):
    """Embeds both features, lets them interact, predicts a rating."""

    def __init__(self, vocabularies):
        super().__init__()
        self.embeddings = {
            name: tf.keras.Sequential(
                [tf.keras.layers.StringLookup(vocabulary=words), tf.keras.layers.Embedding(len(words) + 1, 32)]
            )
            for name, words in vocabularies.items()
        }
        self.interaction = FeatureInteraction("cross")
        self.top = tf.keras.Sequential([tf.keras.layers.Dense(units, "relu") for units in (256, 64)])
        self.rating = tf.keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        )

    def call(self, inputs):
        vectors = [self.embeddings[name](inputs[name]) for name in FEATURES]
        return self.rating(self.top(self.interaction(vectors)))

    def compute_loss(self, inputs, training=False):
        return self.task(labels=inputs["user_rating"], predictions=self({n: inputs[n] for n in FEATURES}))


def main(export, seed=42, epochs=5):
    tf.keras.utils.set_random_seed(seed)
    ratings = load_ratings().map(lambda row: {name: row[name] for name in (*FEATURES, "user_rating")})
    shuffled = ratings.shuffle(100_000, seed=42, reshuffle_each_iteration=False)  # the same split for every seed
    train, test = shuffled.take(80_000), shuffled.skip(80_000)
    known = next(train.batch(80_000).as_numpy_iterator())

    model = MovieModel({name: np.unique(known[name]) for name in FEATURES})
    model.compile(tf.keras.optimizers.Adam(1e-3))
    model.fit(train.cache().shuffle(80_000, seed=seed).batch(512), epochs=epochs, verbose=2)
    rmse = model.evaluate(test.batch(8192), return_dict=True, verbose=0)["rmse"]
    print(f"test RMSE {rmse:.4f}")
    tf.saved_model.save(model, export)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
