"""Files that start TensorFlow Serving."""
