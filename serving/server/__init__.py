"""A small server that speaks TensorFlow Serving's gRPC and REST API: for development, tests and small loads."""
